"""Rerank: order, scores, and what a source may be."""

import pytest
from tests.inference_kit import call

from bastide.kernel.errors import ServiceError
from bastide.knowledge.fake import FakeEmbedder
from bastide.knowledge.reranking import SOURCES_MAX, Rerank

MODEL = "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/test.v-v1:0"


def text(said):
    return {"type": "TEXT", "textDocument": {"text": said}}


def ranked(query, *sources, **more):
    request = {
        "queries": [{"type": "TEXT", "textQuery": {"text": query}}],
        "sources": [{"type": "INLINE", "inlineDocumentSource": each} for each in sources],
        "rerankingConfiguration": {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": MODEL}, **more},
        },
    }
    found = Rerank(embedder=FakeEmbedder()).rerank(call("bedrock-agent-runtime.Rerank"), request)
    return [(row["index"], row["relevanceScore"]) for row in found["results"]]


def test_the_best_is_first_and_a_score_is_its_own():
    pier, bread = text("the pier in the storm"), text("bread")
    found = ranked(
        "storm at the pier", bread, pier, {"type": "JSON", "jsonDocument": {"a": ["pier"]}}
    )
    assert [index for index, _ in found] == [1, 2, 0]
    assert all(0 < score < 1 for _, score in found)
    assert ranked("storm at the pier", pier) == [(0, found[0][1])]
    assert ranked("storm at the pier", bread, pier, numberOfResults=1) == found[:1]


def test_equal_ones_keep_their_order():
    assert [index for index, _ in ranked("pier", *[text("pier")] * 5)] == [0, 1, 2, 3, 4]


def test_one_without_words():
    for query in ("?", "\x00", "\u6f22" * 1_000):
        ((_, score),) = ranked(query, text("?"))
        assert 0 < score < 1


@pytest.mark.parametrize(
    ("query", "sources"),
    [
        ("", [text("a")]),
        ("a", [text("")]),
        ("a", [{"type": "TEXT", "jsonDocument": {}}]),
        ("a", [{"type": "JSON", "textDocument": {"text": "a"}}]),
        ("a", [text("a")] * (SOURCES_MAX + 1)),
    ],
)
def test_what_cannot_be_ranked(query, sources):
    with pytest.raises(ServiceError) as caught:
        ranked(query, *sources)
    assert caught.value.code == "ValidationException"

"""Embeddings by boto3 and LangChain: real weights in a process apart, under families' ids."""

import json
import math
import re
import subprocess

import pytest
from botocore.exceptions import ClientError
from tests.clients import client_python

MINILM = "bastide.minilm-l6-v2-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-english-v3"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"
RERANK = "amazon.rerank-v1:0"
DIMENSIONS = 384


@pytest.fixture(scope="module")
def embedding_region(region):
    region.cli("models", "pull", "minilm-l6-v2")
    for alias in (TITAN, COHERE, NOVA, RERANK):
        region.cli("models", "alias", alias, "minilm-l6-v2")
    return region


@pytest.fixture(scope="module")
def runtime(embedding_region):
    return embedding_region.client("bedrock-runtime", read_timeout=120)


def invoked(runtime, model, **body):
    answer = runtime.invoke_model(modelId=model, body=json.dumps(body))
    return json.loads(answer["body"].read()), answer["ResponseMetadata"]["HTTPHeaders"]


def vector_of(runtime, text):
    return invoked(runtime, TITAN, inputText=text)[0]["embedding"]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def refused(runtime, model, **body):
    with pytest.raises(ClientError) as caught:
        invoked(runtime, model, **body)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return caught.value.response["Error"]["Message"]


def test_what_means_the_same_is_near(runtime):
    query = vector_of(runtime, "How do I renew my passport?")
    near = vector_of(runtime, "Travel documents are renewed at the consulate.")
    far = vector_of(runtime, "The reactor's coolant pump was replaced in March.")
    assert len(query) == DIMENSIONS
    assert math.isclose(cosine(query, query), 1, rel_tol=1e-5)
    assert cosine(query, near) > cosine(query, far) + 0.2


def test_titan(runtime):
    text = "A sea wall protects the harbour."
    found, headers = invoked(runtime, TITAN, inputText=text, embeddingTypes=["float", "binary"])
    assert found["inputTextTokenCount"] == 9, "seven words, a full stop and the model's two marks"
    assert headers["x-amzn-bedrock-input-token-count"] == "9"
    assert headers["x-bastide-model"] == MINILM
    kinds = found["embeddingsByType"]
    assert kinds["binary"] == [int(x > 0) for x in kinds["float"]]
    raw, _ = invoked(runtime, TITAN, inputText=text, normalize=False)
    length = math.sqrt(cosine(raw["embedding"], raw["embedding"]))
    assert length > 2, "as the model gives it"
    scaled = [x / length for x in raw["embedding"]]
    assert math.isclose(cosine(scaled, found["embedding"]), 1, rel_tol=1e-5)
    assert invoked(runtime, TITAN, inputText=text, dimensions=DIMENSIONS)[0]["embedding"]
    short = invoked(runtime, TITAN, inputText=text, dimensions=256)[0]["embedding"]
    assert math.isclose(cosine(short, short), 1, rel_tol=1e-5), "of length 1 again"
    assert math.isclose(
        cosine(short, found["embedding"][:256]) ** 2,
        cosine(found["embedding"][:256], found["embedding"][:256]),
        rel_tol=1e-5,
    )
    assert "makes vectors of 384" in refused(runtime, TITAN, inputText=text, dimensions=1024)
    assert "extraneous key [texts]" in refused(runtime, TITAN, texts=[text])


def test_a_text_is_read_alone_and_always_alike(runtime):
    """Beside another text, again, and under another family's id: the same bits."""
    one, other = "The ship left.", "Secret words " * 100
    alone = vector_of(runtime, one)
    beside, _ = invoked(
        runtime, COHERE, texts=[other, one], input_type="search_document", truncate="END"
    )
    assert beside["embeddings"][1] == alone == vector_of(runtime, one)
    found, _ = invoked(runtime, MINILM, inputText=one)
    assert found["embedding"] == alone


def test_cohere(runtime):
    body = {"texts": ["one", "two"], "input_type": "search_query"}
    found, _ = invoked(runtime, COHERE, **body, embedding_types=["float", "ubinary", "binary"])
    kinds = found["embeddings"]
    assert [len(kinds[kind][1]) for kind in ("float", "ubinary")] == [DIMENSIONS, DIMENSIONS // 8]
    assert kinds["binary"][0] == [byte - 128 for byte in kinds["ubinary"][0]]
    assert (kinds["ubinary"][0][0] >> 7) == (kinds["float"][0][0] > 0)
    assert "embedding_types=int8" in refused(runtime, COHERE, **body, embedding_types=["int8"])
    long = ["word " * 1000]
    assert "longer than 256" in refused(runtime, COHERE, texts=long, input_type="search_query")
    ends = [
        invoked(runtime, COHERE, texts=long, input_type="search_query", truncate=cut)
        for cut in ("START", "END")
    ]
    assert [headers["x-amzn-bedrock-input-token-count"] for _, headers in ends] == ["256", "256"]


def test_nova(runtime):
    def body(text, mode, **more):
        return {
            "taskType": "SINGLE_EMBEDDING",
            "singleEmbeddingParams": {
                "embeddingPurpose": "GENERIC_INDEX",
                "text": {"truncationMode": mode, "value": text},
                **more,
            },
        }

    found, _ = invoked(runtime, NOVA, **body("one", "NONE", embeddingDimension=DIMENSIONS))
    assert found["embeddings"][0]["embedding"] == vector_of(runtime, "one")
    cut, _ = invoked(runtime, NOVA, **body("word " * 1000, "END"))
    assert cut["embeddings"][0]["truncatedCharLength"] == 254 * 5 - 1
    short, _ = invoked(runtime, NOVA, **body("one", "NONE", embeddingDimension=256))
    assert len(short["embeddings"][0]["embedding"]) == 256
    assert "3072" in refused(runtime, NOVA, **body("one", "END", embeddingDimension=3072))


@pytest.mark.parametrize("text", ["\x00\x01\x02", "a" * 50_000, "\u6f22" * 5_000, "\n" * 3])
def test_odd_texts_have_vectors_of_numbers(runtime, text):
    assert all(math.isfinite(x) for x in vector_of(runtime, text))


def test_text_that_is_none(runtime):
    refused(runtime, TITAN, inputText="")
    refused(runtime, TITAN, inputText="a" * 1_000_000)
    refused(runtime, TITAN, inputText=None)
    refused(runtime, COHERE, texts=[], input_type="search_query")


def test_it_is_not_talked_to_and_what_talks_makes_no_vectors(embedding_region, runtime):
    turn = [{"role": "user", "content": [{"text": "Hello"}]}]
    with pytest.raises(ClientError, match="doesn't support the model that you provided"):
        runtime.converse(modelId=MINILM, messages=turn)
    with pytest.raises(ClientError, match="unsupported for streaming"):
        runtime.invoke_model_with_response_stream(modelId=TITAN, body='{"inputText": "a"}')
    listed = embedding_region.client("bedrock").list_foundation_models(
        byOutputModality="EMBEDDING"
    )["modelSummaries"]
    assert {row["modelId"] for row in listed} == {MINILM, TITAN, COHERE, NOVA, RERANK}


def reranked(region, texts, model=RERANK, **more):
    client = region.client("bedrock-agent-runtime", read_timeout=120)
    inline = [{"type": "TEXT", "textDocument": {"text": text}} for text in texts]
    inline.append({"type": "JSON", "jsonDocument": {"title": "Passports", "fee": 12}})
    arn = f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{model}"
    configuration = {"modelConfiguration": {"modelArn": arn}, **more}
    return client.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": "How do I renew my passport?"}}],
        sources=[{"type": "INLINE", "inlineDocumentSource": each} for each in inline],
        rerankingConfiguration={
            "type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": configuration,
        },
    )["results"]  # fmt: skip


def test_rerank(embedding_region):
    texts = [
        "The reactor's coolant pump was replaced in March.",
        "To renew a passport, bring two photographs and your old passport to the consulate.",
        "Travel documents of citizens abroad.",
    ]
    found = reranked(embedding_region, texts)
    assert found[0]["index"] == 1
    assert found[-1]["index"] == 0
    assert {row["index"] for row in found} == {0, 1, 2, 3}
    scores = [row["relevanceScore"] for row in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert scores[0] > 0.5 > scores[-1]
    (best,) = reranked(embedding_region, texts[:2], numberOfResults=1)
    assert best == found[0], "what else is ranked changes no score"
    with pytest.raises(ClientError, match="identifier is invalid"):
        reranked(embedding_region, texts, model="cohere.rerank-v3-5:0")
    with pytest.raises(ClientError, match="additionalModelRequestFields"):
        reranked(
            embedding_region, texts,
            modelConfiguration={"modelArn": MINILM, "additionalModelRequestFields": {"a": 1}},
        )  # fmt: skip


SUITE = """
from langchain_aws import BedrockEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests


class TestTitan(EmbeddingsIntegrationTests):
    embeddings_class = BedrockEmbeddings
    embedding_model_params = {"model_id": "amazon.titan-embed-text-v2:0"}


class TestCohere(EmbeddingsIntegrationTests):
    embeddings_class = BedrockEmbeddings
    embedding_model_params = {"model_id": "cohere.embed-english-v3"}
"""


def test_langchains_standard_suite(embedding_region, tmp_path):
    (tmp_path / "test_langchain.py").write_text(SUITE)
    env = {**embedding_region.agency("demo"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    env.pop("AWS_BEARER_TOKEN_BEDROCK")
    command = [
        client_python("langchain"), "-m", "pytest", "-q", "-p", "no:cacheprovider",
        "-o", "asyncio_mode=auto", "test_langchain.py",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert re.search(r"^10 passed in", done.stdout, re.MULTILINE), done.stdout[-6000:]

"""Whose right it is to call the embedding model, whose quota it takes, and the model that ranks."""

import pytest
from tests.knowledge_kit import base_request
from tests.sagefakes import ROLE, call

from bastide.kernel.errors import ServiceError

RANKER = "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/test.ranker-v1:0"


def ranking(count=None, **inside):
    wanted = {"modelConfiguration": {"modelArn": RANKER}, **inside}
    if count:
        wanted["numberOfRerankedResults"] = count
    kind = "BEDROCK_RERANKING_MODEL"
    return {"type": kind, "bedrockRerankingConfiguration": wanted}


def test_a_role_that_may_not_call_the_model_makes_no_knowledge_base(world):
    world.embedder.refused = True
    with pytest.raises(ServiceError, match="bedrock:InvokeModel"):
        world.bases.create_knowledge_base(
            call("bedrock-agent.CreateKnowledgeBase"), base_request(ROLE, "second")
        )
    renamed = {**base_request(ROLE, "renamed"), "knowledgeBaseId": world.base}
    with pytest.raises(ServiceError, match="bedrock:InvokeModel"):
        world.bases.update_knowledge_base(call("bedrock-agent.UpdateKnowledgeBase"), renamed)


def test_a_job_whose_role_may_not_call_the_model_any_more_fails(world):
    world.put("a.txt", "Cats hunt.")
    world.embedder.refused = True
    job = world.synced()
    assert job["status"] == "FAILED"
    assert "bedrock:InvokeModel" in job["failureReasons"][0]
    assert job["statistics"]["numberOfNewDocumentsIndexed"] == 0
    world.embedder.refused = False
    assert world.synced()["statistics"]["numberOfNewDocumentsIndexed"] == 1


def test_a_question_is_embedded_by_the_knowledge_bases_role(world):
    world.put("a.txt", "Cats hunt.")
    world.synced()
    world.embedder.by.clear()
    assert world.texts("cats", "S") == ["Cats hunt."]
    (who,) = world.embedder.by
    assert (who.issuer_arn, who.session.text) == (ROLE, "S")
    world.embedder.refused = True
    with pytest.raises(ServiceError, match="bedrock:InvokeModel"):
        world.texts("cats")
    world.embedder.refused, world.roles.clearance = False, "U"
    with pytest.raises(ServiceError, match="not cleared"):
        world.texts("cats", "S")


def test_a_question_beyond_the_quota_is_told_when_to_come_again(world):
    world.embedder.left = 0
    with pytest.raises(ServiceError, match="ThrottlingException") as refused:
        world.texts("cats")
    assert refused.value.retry_after_s == 7.0


def test_a_job_beyond_the_quota_waits_and_goes_on_where_it_was(world):
    """Each document is one request; none is read twice, and no wait counts as a failure."""
    for n in range(5):
        world.put(f"{n}.txt", f"Paper number {n}.")
    world.embedder.left = 2
    job = world.synced()
    assert job["status"] == "IN_PROGRESS"
    assert job["statistics"]["numberOfNewDocumentsIndexed"] == 2
    for _ in range(40):  # more often than what fails is tried
        world.work.settle()
    asked = len(world.embedder.asked)
    world.embedder.left = None
    world.work.settle()
    job = world.job(job["ingestionJobId"])
    assert (job["status"], job["statistics"]["numberOfNewDocumentsIndexed"]) == ("COMPLETE", 5)
    assert len(world.embedder.asked) == asked + 3


def test_a_job_whose_model_went_away_fails(world):
    world.put("a.txt", "Cats hunt.")
    world.embedder.gone = True
    job = world.synced()
    assert (job["status"], job["failureReasons"]) == (
        "FAILED",
        ["The model is not there any more."],
    )


def test_passages_are_ranked_anew_and_cut(world):
    for n, text in enumerate(["Cats and dogs and birds.", "Cats sleep.", "Cats hunt at dusk."]):
        world.put(f"{n}.txt", text)
    world.synced()
    plain = world.found("when do cats hunt at dusk", numberOfResults=3)
    found = world.found(
        "when do cats hunt at dusk", numberOfResults=3, rerankingConfiguration=ranking(2)
    )
    assert found[0]["content"]["text"] == "Cats hunt at dusk."
    assert len(found) == 2
    assert 0 < found[1]["score"] < found[0]["score"] < 1
    assert {each["score"] for each in found}.isdisjoint(each["score"] for each in plain)
    assert len(world.found("cats", rerankingConfiguration=ranking())) == 3


@pytest.mark.parametrize(
    ("chosen", "first"),
    [
        ({}, "Birds."),
        ({"selectionMode": "ALL"}, "Beta."),
        ({"selectionMode": "SELECTIVE", "selectiveModeConfiguration": {
            "fieldsToInclude": [{"fieldName": "topic"}]}}, "Beta."),
        ({"selectionMode": "SELECTIVE", "selectiveModeConfiguration": {
            "fieldsToExclude": [{"fieldName": "topic"}]}}, "Birds."),
    ],
)  # fmt: skip
def test_what_is_said_of_a_document_counts_where_it_shall(world, chosen, first):
    world.put("a.txt", "Birds.")
    world.put("b.txt", "Beta.")
    world.put("b.txt.metadata.json", '{"metadataAttributes": {"topic": "comets", "year": 2026}}')
    world.synced()
    asked = ranking(metadataConfiguration=chosen) if chosen else ranking()
    found = world.texts(
        "birds topic comets comets" if chosen else "birds", rerankingConfiguration=asked
    )
    assert found[0] == first


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        ({"implicitFilterConfiguration": {}}, "implicitFilterConfiguration"),
        ({"rerankingConfiguration": {"type": "BEDROCK_RERANKING_MODEL"}}, "must be given"),
        (
            {"rerankingConfiguration": ranking(modelConfiguration={
                "modelArn": RANKER, "additionalModelRequestFields": {"a": 1}})},
            "additionalModelRequestFields",
        ),
    ],
)  # fmt: skip
def test_what_is_not_done_is_refused_by_name(world, wanted, refusal):
    with pytest.raises(ServiceError, match=refusal):
        world.texts("cats", **wanted)

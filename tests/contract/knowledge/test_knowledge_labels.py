"""Who finds what: sessions of several labels over one knowledge base."""

import json

import pytest
from tests.knowledge_kit import base_request, bucket_source
from tests.sagefakes import ONE, ROLE, call

from bastide.kernel.errors import ServiceError
from bastide.knowledge.index.model import Kb


def by_label(world, marking, text="report"):
    return sorted(world.texts(text, marking, numberOfResults=99))


def test_each_session_finds_what_it_dominates_and_no_more(world):
    world.put("open.txt", "An open report.")
    world.put("closed.txt", "A closed report.", "S//NF")
    world.put("top.txt", "A top report.", "TS//SI")
    for marking in ("U", "S//NF", "TS//SI"):
        world.synced(marking)
    assert by_label(world, "U") == ["An open report."]
    assert by_label(world, "S//NF") == ["A closed report.", "An open report."]
    assert len(by_label(world, "TS//SI//NF")) == 3


def test_what_is_above_changes_nothing_below(world):
    """Not a score, not an order, not a count."""
    for n in range(6):
        world.put(f"{n}.txt", f"Open report number {n} about rivers and hills.")
    world.synced()
    before = world.found("report about rivers", numberOfResults=4)
    for n in range(20):
        world.put(f"closed-{n}.txt", "Closed report about rivers.", "S//NF")
    world.synced("S//NF")
    assert world.found("report about rivers", numberOfResults=4) == before
    assert world.synced()["statistics"]["numberOfDocumentsScanned"] == 6


def test_jobs_and_documents_above_are_not_told(world):
    world.put("closed.txt", "A closed report.", "S//NF")
    id_ = world.synced("S//NF")["ingestionJobId"]
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        world.job(id_)
    ids = {"knowledgeBaseId": world.base, "dataSourceId": world.source}
    listing = call("bedrock-agent.ListIngestionJobs")
    assert world.jobs.list_ingestion_jobs(listing, ids) == {"ingestionJobSummaries": []}
    listing = call("bedrock-agent.ListKnowledgeBaseDocuments")
    assert world.documents.list_knowledge_base_documents(listing, ids) == {"documentDetails": []}
    uri = {"dataSourceType": "S3", "s3": {"uri": "s3://papers/closed.txt"}}
    asked = call("bedrock-agent.GetKnowledgeBaseDocuments")
    (found,) = world.documents.get_knowledge_base_documents(
        asked, {**ids, "documentIdentifiers": [uri]}
    )["documentDetails"]
    assert found["status"] == "NOT_FOUND"


def test_a_job_above_leaves_what_is_there_below_where_it_is(world):
    world.put("open.txt", "An open report.")
    world.synced("S//NF")
    assert world.texts("report", "S//NF") == ["An open report."]
    assert world.texts("report") == []
    world.synced("U")
    world.synced("S//NF")
    assert world.texts("report", "S//NF") == ["An open report."]
    assert world.texts("report", "U") == ["An open report."]
    world.gone("open.txt")
    world.synced("S//NF")
    assert world.texts("report", "U") == ["An open report."]


def test_portions_carry_their_own_label_and_are_found_at_the_documents(world):
    world.put("report.txt", "(U) The open report.\n\n(S//NF) The closed report.", "S//NF")
    world.synced("S//NF")
    found = world.found("report", "S//NF")
    assert {r["content"]["text"]: r["metadata"]["x-bastide-portion"] for r in found} == {
        "(U) The open report.": "U",
        "(S//NF) The closed report.": "S//NOFORN",
    }
    assert world.texts("report", "U") == []


def test_where_portions_are_apart_each_is_found_at_its_own_label(world_with_portions_apart):
    world = world_with_portions_apart
    world.put("report.txt", "(U) Open report.\n\nUnmarked report.\n\n(S//NF) Closed.", "S//NF")
    world.synced("S//NF")
    assert world.texts("report", "U") == ["(U) Open report."]
    assert len(world.texts("report", "S//NF")) == 3


def test_a_portion_that_is_found_below_tells_nothing_of_its_document(world_with_portions_apart):
    """Not its name, its attributes, its place or what was embedded with it."""
    world = world_with_portions_apart
    said = '{"value": {"type": "STRING", "stringValue": "Redwood"}, "includeForEmbedding": true}'
    for name, before in (("redwood-1", "(S) Hidden."), ("redwood-2", "(S) Hidden.\n\n(S//NF) x")):
        world.put(f"{name}.txt", f"{before}\n\n(U) Open report.\n\n(U) Another.", "S//NF")
        world.put(
            f"{name}.txt.metadata.json", f'{{"metadataAttributes": {{"plan": {said}}}}}', "S//NF"
        )
    world.synced("S//NF")
    first, second = found = world.found("report", numberOfResults=9)
    assert "edwood" not in json.dumps(found)
    assert first == second  # of documents that differ in what is above only
    kept = [
        chunk for chunk in world.index.held[Kb(ONE, world.base)].values() if chunk.label.text == "U"
    ]
    assert "x-bastide-span" not in kept[0].metadata  # it could be asked for by a filter
    assert not [text for text in world.embedder.asked if "Redwood" in text and "Open" in text]
    (above, *_) = world.found("Hidden", "S//NF")
    assert above["metadata"]["plan"] == "Redwood"


def test_what_a_knowledge_base_answers_is_at_least_of_its_label(world_with_portions_apart):
    """That it is there, and what it was asked, is no lower than it is."""
    world = world_with_portions_apart
    make = call("bedrock-agent.CreateKnowledgeBase", marking="S//NF")
    made = world.bases.create_knowledge_base(make, base_request(ROLE, "closed"))["knowledgeBase"]
    world.base = made["knowledgeBaseId"]
    source = bucket_source(world.base, "papers")
    make = call("bedrock-agent.CreateDataSource", marking="S//NF")
    made = world.sources.create_data_source(make, source)["dataSource"]
    world.source = made["dataSourceId"]
    world.put("report.txt", "(U) Open report.", "S//NF")
    world.synced("S//NF")
    caller = call("bedrock-agent-runtime.Retrieve", marking="S//NF")
    asked = {"knowledgeBaseId": world.base, "retrievalQuery": {"text": "report"}}
    assert len(world.retrieve.retrieve(caller, asked)["retrievalResults"]) == 1
    assert caller.notes.label == "S//NOFORN"


def test_a_portion_above_its_document_fails_it(world):
    world.put("report.txt", "(U) Open.\n\n(TS//SI) Closed.", "S//NF")
    job = world.synced("TS//SI//NF")
    assert job["statistics"]["numberOfDocumentsFailed"] == 1
    assert "TS//SI" in job["failureReasons"][0]


def test_a_role_that_is_not_cleared_reads_nothing(world):
    world.roles.clearance = "S"
    with pytest.raises(ServiceError, match="not cleared"):
        world.start("TS//SI")


def test_a_knowledge_base_above_is_not_there(world):
    above = call("bedrock-agent.CreateKnowledgeBase", marking="S//NF")
    made = world.bases.create_knowledge_base(above, base_request(ROLE, "closed"))["knowledgeBase"]
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        world.bases.get_knowledge_base(
            call("bedrock-agent.GetKnowledgeBase"), {"knowledgeBaseId": made["knowledgeBaseId"]}
        )
    listed = world.bases.list_knowledge_bases(call("bedrock-agent.ListKnowledgeBases"), {})
    assert [each["knowledgeBaseId"] for each in listed["knowledgeBaseSummaries"]] == [world.base]


def test_of_another_agency_nothing_is_there(world):
    asked = call("bedrock-agent.GetKnowledgeBase", account="444455556666")
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        world.bases.get_knowledge_base(asked, {"knowledgeBaseId": world.base})

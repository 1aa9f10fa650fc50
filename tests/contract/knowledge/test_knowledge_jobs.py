"""Ingestion jobs: what they count, what fails, who sees what; and what a kill leaves."""

import pytest
from tests.knowledge_kit import bucket_source
from tests.sagefakes import call

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.knowledge.tasks import OUR_FAULT
from bastide.knowledge.work import TRIES_MAX


def counted(job):
    names = {
        "scanned": "numberOfDocumentsScanned",
        "new": "numberOfNewDocumentsIndexed",
        "modified": "numberOfModifiedDocumentsIndexed",
        "said": "numberOfMetadataDocumentsModified",
        "deleted": "numberOfDocumentsDeleted",
        "failed": "numberOfDocumentsFailed",
    }
    found = {short: job["statistics"][name] for short, name in names.items()}
    return {short: count for short, count in found.items() if count}


def test_a_job_counts_what_it_did(world):
    for n in range(5):
        world.put(f"{n}.txt", f"Paper number {n}.")
    assert counted(world.synced()) == {"scanned": 5, "new": 5}
    world.put("1.txt", "Another paper.")
    world.put("2.txt.metadata.json", '{"metadataAttributes": {"year": 2026}}')
    world.gone("3.txt")
    world.put("5.txt", "A sixth.")
    job = world.synced()
    assert counted(job) == {"scanned": 5, "new": 1, "modified": 1, "said": 1, "deleted": 1}
    assert counted(world.synced()) == {"scanned": 5}
    assert "Paper number 3." not in world.texts("paper number 3", numberOfResults=100)
    (two,) = [r for r in world.found("paper", numberOfResults=9) if "2.txt" in str(r["location"])]
    assert two["metadata"]["year"] == 2026


@pytest.mark.parametrize("beside", ["", '{"metadataAttributes": {"year": 2026}}'])
def test_after_a_sync_a_document_is_as_the_bucket_has_it(world, beside):
    """What was said of it when it was handed in lasts until then, as at AWS."""
    ids = {"knowledgeBaseId": world.base, "dataSourceId": world.source}
    world.put("a.txt", "About comets.")
    if beside:
        world.put("a.txt.metadata.json", beside)
    in_s3 = {"dataSourceType": "S3", "s3": {"s3Location": {"uri": "s3://papers/a.txt"}}}
    said = [{"key": "by", "value": {"type": "STRING", "stringValue": "hand"}}]
    metadata = {"type": "IN_LINE_ATTRIBUTE", "inlineAttributes": said}
    world.documents.ingest_knowledge_base_documents(
        call("bedrock-agent.IngestKnowledgeBaseDocuments"),
        {**ids, "documents": [{"content": in_s3, "metadata": metadata}]},
    )
    world.work.settle()
    (found,) = world.found("comets")
    assert (found["metadata"]["by"], "year" in found["metadata"]) == ("hand", False)
    assert counted(world.synced()) == {"scanned": 1, "said": 1}
    (found,) = world.found("comets")
    assert "by" not in found["metadata"]
    assert found["metadata"].get("year") == (2026 if beside else None)
    assert counted(world.synced()) == {"scanned": 1}


def test_a_document_that_fails_is_told_and_the_others_go_on(world):
    world.put("a.txt", "Good.")
    world.put("b.pdf", b"%PDF-1.7")
    world.put("c.txt", "Fine.")
    world.put("c.txt.metadata.json", "{")
    job = world.synced()
    assert job["status"] == "COMPLETE"
    assert counted(job) == {"scanned": 3, "new": 1, "failed": 2}
    assert {reason.partition(": ")[0] for reason in job["failureReasons"]} == {
        "s3://papers/b.pdf", "s3://papers/c.txt"
    }  # fmt: skip
    world.put("b.pdf", b"%PDF-1.7 again")
    world.put("c.txt.metadata.json", '{"metadataAttributes": {}}')
    assert counted(world.synced()) == {"scanned": 3, "new": 1, "failed": 1}


@pytest.mark.parametrize(
    "said",
    [
        '{"year": {"value": {"type": [], "stringValue": "x"}}}',
        '{"\\ud800": {"value": {}}}',
        '{"year": "\\udfff"}',
        '{"year": ["\\udfff"]}',
        '{"year": NaN}',
        '{"year": -Infinity}',
        '{"year": 1' + 400 * "0" + "}",
    ],
)
def test_hostile_attributes_fail_their_document_and_no_other(world, said):
    """Neither the job, nor whoever filters what is there."""
    world.put("a.txt", "Good.")
    world.put("a.txt.metadata.json", f'{{"metadataAttributes": {said}}}')
    world.put("b.txt", "Fine.")
    job = world.synced()
    assert (job["status"], counted(job)) == ("COMPLETE", {"scanned": 2, "new": 1, "failed": 1})
    job["failureReasons"][0].encode()


PAPER = " ".join(f"Ship {n} lies at pier {n} of the harbour." for n in range(24))


def split(world, strategy, **configuration):
    """The pieces that PAPER is found in, of a data source that splits so."""
    wanted = {"chunkingConfiguration": {"chunkingStrategy": strategy, **configuration}}
    source = bucket_source(world.base, "papers", name="split", vectorIngestionConfiguration=wanted)
    made = world.sources.create_data_source(call("bedrock-agent.CreateDataSource"), source)
    world.source = made["dataSource"]["dataSourceId"]
    world.put("a.txt", PAPER)
    assert counted(world.synced()) == {"scanned": 1, "new": 1}
    found = world.found("ship at the pier", numberOfResults=100)
    for each in found:
        assert all("parent" not in name for name in each["metadata"])
    return [each["content"]["text"] for each in found]


def test_a_text_is_found_in_the_pieces_that_its_source_asks_for(world):
    fixed = {"maxTokens": 40, "overlapPercentage": 10}
    pieces = split(world, "FIXED_SIZE", fixedSizeChunkingConfiguration=fixed)
    assert len(pieces) > 4
    assert all(piece in PAPER and piece.endswith("harbour.") for piece in pieces)


def test_none_is_found_whole(world):
    assert split(world, "NONE") == [PAPER]


def test_a_child_is_found_as_its_parent_and_each_parent_once(world):
    levels = [{"maxTokens": 100}, {"maxTokens": 20}]
    parents = split(
        world, "HIERARCHICAL",
        hierarchicalChunkingConfiguration={"levelConfigurations": levels, "overlapTokens": 0},
    )  # fmt: skip
    assert 1 < len(parents) == len(set(parents)) < 8
    assert " ".join(sorted(parents, key=PAPER.index)) == PAPER, "nothing twice, and nothing lost"
    (best,) = world.texts("ship 17 lies at pier 17", numberOfResults=1)
    assert best in parents


def test_pieces_that_would_fill_the_memory_fail_their_document(world):
    """Each child brings its parent along, with all the blanks in that: 40 GB of 5 MB."""
    levels = [{"maxTokens": 8192}, {"maxTokens": 1}]
    chunking = {
        "chunkingStrategy": "HIERARCHICAL",
        "hierarchicalChunkingConfiguration": {"levelConfigurations": levels, "overlapTokens": 0},
    }
    wanted = {"chunkingConfiguration": chunking}
    source = bucket_source(
        world.base, "papers", name="hostile", vectorIngestionConfiguration=wanted
    )
    made = world.sources.create_data_source(call("bedrock-agent.CreateDataSource"), source)
    world.source = made["dataSource"]["dataSourceId"]
    world.put("a.txt", ("a" + " " * 600) * 8_000)
    job = world.synced()
    assert "characters" in job["failureReasons"][0]


def test_what_cannot_be_read_any_more_is_not_found_any_more(world):
    world.put("a.txt", "Good.")
    world.synced()
    world.put("a.txt", b"\xff\xfa")
    assert counted(world.synced()) == {"scanned": 1, "failed": 1}
    assert world.texts("good") == []


def test_a_role_that_may_not_read_fails_the_job(world):
    world.put("a.txt", "Good.")
    world.permits.denied = {"s3:ListBucket"}
    job = world.synced()
    assert job["status"] == "FAILED"
    assert "s3:ListBucket" in job["failureReasons"][0]
    world.permits.denied = {"s3:GetObject"}
    job = world.synced()
    assert (job["status"], counted(job)) == ("COMPLETE", {"scanned": 1, "failed": 1})


def test_one_job_of_a_source_at_a_time(world):
    world.put("a.txt", "Good.")
    world.start()
    with pytest.raises(ServiceError, match="ConflictException"):
        world.start()
    world.work.settle()
    assert world.synced()["status"] == "COMPLETE"


def test_a_stopped_job_ends_stopped(world):
    world.put("a.txt", "Good.")
    id_ = world.start()
    ids = {"knowledgeBaseId": world.base, "dataSourceId": world.source, "ingestionJobId": id_}
    stop = call("bedrock-agent.StopIngestionJob")
    assert world.jobs.stop_ingestion_job(stop, ids)["ingestionJob"]["status"] == "STOPPING"
    world.work.settle()
    assert world.job(id_)["status"] == "STOPPED"
    with pytest.raises(ServiceError, match="ConflictException"):
        world.jobs.stop_ingestion_job(stop, ids)


@pytest.mark.parametrize("steps", range(0, 12, 2))
def test_a_kill_at_any_step_loses_nothing_and_counts_nothing_twice(world, steps):
    """A step that is not asked for any more is what a kill leaves."""
    for n in range(4):
        world.put(f"{n}.txt", f"Paper number {n}.")
    world.synced()
    world.put("0.txt", "Another.")
    world.gone("1.txt")
    world.put("4.txt", "A fifth.")
    world.put("5.pdf", b"broken")
    id_ = world.start()
    (task,) = world.tasks.wanted()
    going = task.begin()
    for _ in range(steps):
        next(going, None)
    going.close()
    world.work.settle()
    job = world.job(id_)
    assert job["status"] == "COMPLETE"
    assert counted(job) == {"scanned": 5, "new": 1, "modified": 1, "deleted": 1, "failed": 1}
    assert sorted(world.texts("paper", numberOfResults=99)) == [
        "A fifth.", "Another.", "Paper number 2.", "Paper number 3."
    ]  # fmt: skip


@pytest.mark.parametrize("write", range(1, 4))
def test_a_kill_between_the_index_and_the_row_is_made_good(world, write):
    """The index's and the database's writes are two: any of them may be the last."""
    for n in range(3):
        world.put(f"{n}.txt", f"Paper number {n}.")
    id_ = world.start()
    world.index.dies_in = write
    (task,) = world.tasks.wanted()
    with pytest.raises(Unavailable):
        list(task.begin())
    world.gone("0.txt")
    world.work.settle()
    assert world.job(id_)["status"] == "COMPLETE"
    assert counted(world.synced()) == {"scanned": 2}
    assert sorted(world.texts("paper", numberOfResults=99)) == [
        "Paper number 1.",
        "Paper number 2.",
    ]


def test_our_own_fault_fails_the_job_truthfully(world):
    world.put("a.txt", "Good.")
    world.embedder.fault = RuntimeError("a defect")
    job = world.synced()
    assert (job["status"], job["failureReasons"]) == ("FAILED", [OUR_FAULT])
    world.embedder.fault = None
    assert world.synced()["status"] == "COMPLETE"


def test_the_world_in_the_way_is_waited_for_and_not_for_ever(world):
    world.put("a.txt", "Good.")
    world.embedder.fault = Unavailable("the model")
    assert world.synced()["status"] == "FAILED"
    assert world.embedder.tries == TRIES_MAX

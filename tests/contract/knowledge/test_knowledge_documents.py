"""Documents that are handed in: read, told, replaced, taken out; what is wrong is told of each."""

from dataclasses import replace

import pytest
from tests.sagefakes import ONE, OTHER, call

from bastide.kernel.errors import ServiceError
from bastide.knowledge import documents, records
from bastide.knowledge.documents import WAITING_MAX
from bastide.knowledge.preparing import key_of
from bastide.knowledge.work import IN_HAND_MAX


@pytest.fixture
def hand(world):
    """A data source of its own for what is handed in."""
    made = world.sources.create_data_source(
        call("bedrock-agent.CreateDataSource"),
        {
            "knowledgeBaseId": world.base,
            "name": "by-hand",
            "dataSourceConfiguration": {"type": "CUSTOM"},
        },
    )
    return {
        "knowledgeBaseId": world.base,
        "dataSourceId": made["dataSource"]["dataSourceId"],
    }


def inline(name, text, **metadata):
    custom = {
        "customDocumentIdentifier": {"id": name},
        "sourceType": "IN_LINE",
        "inlineContent": {"type": "TEXT", "textContent": {"data": text}},
    }
    said = {"metadata": metadata} if metadata else {}
    return {"content": {"dataSourceType": "CUSTOM", "custom": custom}, **said}


def put(world, hand, *documents, marking="U"):
    caller = call("bedrock-agent.IngestKnowledgeBaseDocuments", marking=marking)
    asked = {**hand, "documents": list(documents)}
    return world.documents.ingest_knowledge_base_documents(caller, asked)["documentDetails"]


def status(world, hand, name, marking="U"):
    caller = call("bedrock-agent.GetKnowledgeBaseDocuments", marking=marking)
    named = {"dataSourceType": "CUSTOM", "custom": {"id": name}}
    asked = {**hand, "documentIdentifiers": [named]}
    (found,) = world.documents.get_knowledge_base_documents(caller, asked)["documentDetails"]
    return found["status"], found.get("statusReason", "")


def taken_out(world, hand, name, marking="U"):
    caller = call("bedrock-agent.DeleteKnowledgeBaseDocuments", marking=marking)
    named = {"dataSourceType": "CUSTOM", "custom": {"id": name}}
    asked = {**hand, "documentIdentifiers": [named]}
    return world.documents.delete_knowledge_base_documents(caller, asked)["documentDetails"]


def test_one_is_read_replaced_and_taken_out(world, hand):
    (told,) = put(world, hand, inline("a", "About comets."))
    assert told["status"] == "PENDING"
    world.work.settle()
    assert status(world, hand, "a") == ("INDEXED", "")
    put(world, hand, inline("a", "About moons."))
    world.work.settle()
    assert world.texts("about") == ["About moons."]
    assert taken_out(world, hand, "a")[0]["status"] == "DELETING"
    world.work.settle()
    assert status(world, hand, "a")[0] == "NOT_FOUND"
    assert world.texts("about") == []
    assert taken_out(world, hand, "a")[0]["status"] == "NOT_FOUND"


def test_what_cannot_be_read_fails_by_itself(world, hand):
    broken = inline("b", "")
    broken["content"]["custom"]["inlineContent"] = {
        "type": "BYTE",
        "byteContent": {"mimeType": "application/pdf", "data": b"%PDF-1.7"},
    }
    put(world, hand, inline("a", "About comets."), broken)
    world.work.settle()
    assert status(world, hand, "a")[0] == "INDEXED"
    told, reason = status(world, hand, "b")
    assert told == "FAILED"
    assert reason.startswith("It is a broken PDF")


def test_one_that_lies_in_a_bucket_is_read_as_the_role(world, hand):
    world.put("x/note.txt", "About comets.")
    world.put("x/said.json", '{"metadataAttributes": {"year": 1986}}')
    lying = inline("a", "")
    lying["content"]["custom"] = {
        "customDocumentIdentifier": {"id": "a"},
        "sourceType": "S3_LOCATION",
        "s3Location": {"uri": "s3://papers/x/note.txt"},
    }
    lying["metadata"] = {"type": "S3_LOCATION", "s3Location": {"uri": "s3://papers/x/said.json"}}
    put(world, hand, lying)
    world.work.settle()
    (found,) = world.found("comets")
    assert found["metadata"]["year"] == 1986
    world.permits.denied = {"s3:GetObject"}
    put(world, hand, lying)
    world.work.settle()
    assert "s3:GetObject" in status(world, hand, "a")[1]
    assert world.texts("comets") == []


def test_what_is_said_of_one_in_a_bucket_has_a_sidecars_bound(world, hand):
    """It goes with each piece of the document, of which there may be 20,000."""
    said = '{"metadataAttributes": {"x": "' + 20_000 * "x" + '"}}'
    world.put("x/said.json", said)
    place = {"type": "S3_LOCATION", "s3Location": {"uri": "s3://papers/x/said.json"}}
    put(world, hand, inline("a", "About comets.", **place))
    world.work.settle()
    assert status(world, hand, "a")[0] == "FAILED"
    assert "larger than 10240" in status(world, hand, "a")[1]
    assert world.texts("comets") == []


def test_each_label_has_its_own(world, hand):
    put(world, hand, inline("a", "About comets."))
    put(world, hand, inline("a", "About closed comets."), marking="S")
    world.work.settle()
    assert world.texts("about") == ["About comets."]
    assert sorted(world.texts("about", "S")) == ["About closed comets.", "About comets."]
    taken_out(world, hand, "a", marking="S")
    world.work.settle()
    assert world.texts("about", "S") == ["About comets."]
    with pytest.raises(ServiceError, match="AccessDenied"):
        taken_out(world, hand, "a", marking="S")


def test_what_waits_is_bounded_at_each_label(world, hand):
    for n in range(WAITING_MAX // 10):
        put(world, hand, *(inline(f"{n}-{m}", "Text.") for m in range(10)), marking="S")
    with pytest.raises(ServiceError, match="ThrottlingException"):
        put(world, hand, inline("a", "Text."), marking="S")
    put(world, hand, inline("a", "Text."))


def test_nobody_waits_behind_another_agencys_documents_or_what_is_above(world, hand):
    for n in range(WAITING_MAX // 10):
        put(world, hand, *(inline(f"{n}-{m}", "Text.") for m in range(10)), marking="S")
    world.clock.advance(1)
    put(world, hand, inline("a", "Text."))
    (row,) = [one for one in world.tasks.handed.waiting() if one.label == "U"]
    other = replace(row, account=OTHER)
    world.database.write(lambda c: records.put_document(c, key_of(row.uri), other))
    world.work._look()
    assert OTHER in world.work._line


def test_a_knowledge_base_has_so_many_documents_and_no_more(world, hand, monkeypatch):
    monkeypatch.setattr(documents, "DOCUMENTS_MAX", 3)
    put(world, hand, inline("a", "One."), inline("b", "Two."))
    put(world, hand, inline("a", "One."), marking="S")
    with pytest.raises(ServiceError, match="ServiceQuotaExceededException"):
        put(world, hand, inline("c", "Three."), inline("d", "Four."))
    put(world, hand, inline("c", "Three."))


def test_what_does_not_fit_is_refused(world, hand):
    twice = [inline("a", "One."), inline("a", "Two.")]
    reserved = {"key": "x-bastide-portion", "value": {"type": "STRING", "stringValue": "U"}}
    said = {"type": "IN_LINE_ATTRIBUTE", "inlineAttributes": [reserved]}
    elsewhere = {"content": {"dataSourceType": "S3", "s3": {"s3Location": {"uri": "s3://x/y"}}}}
    for wrong in (twice, [inline("a", "x", **said)], [elsewhere]):
        with pytest.raises(ServiceError, match="ValidationException"):
            put(world, hand, *wrong)


def test_one_that_is_handed_in_again_while_it_is_read_is_read_again(world, hand):
    put(world, hand, inline("a", "About comets."))
    (task,) = world.tasks.wanted()
    going = task.begin()
    next(going)
    next(going)  # it is being embedded
    world.clock.advance(1)
    put(world, hand, inline("a", "About moons."))
    list(going)
    assert status(world, hand, "a")[0] == "PENDING"
    world.work.settle()
    assert status(world, hand, "a")[0] == "INDEXED"
    assert world.texts("about") == ["About moons."]


LONG = " ".join(f"Word {n} of a long report." for n in range(3_000))


@pytest.mark.parametrize("whole", [True, False], ids=["base", "source"])
@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "by a job"])
def test_what_goes_away_while_it_is_read_leaves_nothing_to_be_found(world, hand, by_hand, whole):
    """The end of a source passes while one of its documents is embedded."""
    if by_hand:
        put(world, hand, inline("a", LONG))
    else:
        world.put("a.txt", LONG)
        world.start()
    world.work._look()
    while not world.embedder.asked:
        world.work._turn()
    ids = hand if by_hand else {"knowledgeBaseId": world.base, "dataSourceId": world.source}
    if whole:
        only = {"knowledgeBaseId": world.base}
        world.bases.delete_knowledge_base(call("bedrock-agent.DeleteKnowledgeBase"), only)
    else:
        world.sources.delete_data_source(call("bedrock-agent.DeleteDataSource"), ids)
    world.work.settle()
    assert not any(world.index.held.values())
    count = records.count_documents
    assert world.database.read(lambda c: count(c, ONE, world.base, "U")) == 0


def test_few_documents_of_an_agency_are_in_memory_at_once(world, hand):
    """Two hundred of 50 MB each would end the region, and again after each start."""
    put(world, hand, *(inline(f"{n}", LONG) for n in range(10)))
    world.work._look()
    while "INDEXED" not in [status(world, hand, f"{n}")[0] for n in range(10)]:
        world.work._turn()
    firsts = [text for text in world.embedder.asked if text.startswith("Word 0 ")]
    assert len(firsts) <= IN_HAND_MAX
    taken_out(world, hand, "9")
    world.work.settle()
    assert status(world, hand, "8")[0] == "INDEXED"


def test_what_is_handed_in_while_its_source_goes_away_does_not_wait_for_ever(world, hand):
    """A row of no source would be looked at again, and again at once."""
    put(world, hand, inline("a", "About comets."))
    source = world.database.read(
        lambda c: records.source_of(c, ONE, world.base, hand["dataSourceId"])
    )
    (row,) = world.database.read(lambda c: records.waiting(c, 10))
    world.database.write(lambda c: records.drop_source(c, source))
    world.database.write(lambda c: records.put_document(c, key_of(row.uri), row))
    world.work._look()
    while world.work._line:
        world.work._turn()
    assert world.database.read(lambda c: records.waiting(c, 10)) == []

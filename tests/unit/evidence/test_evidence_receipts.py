"""A receipt holds as it is given, and in no other form, with the public key alone."""

import base64
import json
import random
from dataclasses import asdict, replace

import msgspec
import pytest
from tests.receipts_kit import ACCOUNT, ANSWER, ASKED, MOVED, Ledger, call

from bastide.audit import records
from bastide.audit.lost_ends import close_lost_ends
from bastide.audit.model import Kind, decode, encode
from bastide.audit.signing import load_signer
from bastide.db import Database
from bastide.evidence.receipts import Opening, verify_receipt
from bastide.kernel.call import Crossed
from bastide.kernel.errors import ServiceError
from bastide.kernel.notes import BadNote
from bastide.kernel.receipts import SALT_HEADER, BadReceipt, lost_inference, parse


@pytest.fixture
def ledger(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/region.db")
    database.start(create=True)
    made = Ledger(database, tmp_path, checkpoint_leaves=7)
    yield made
    made.log.close()
    database.close()


@pytest.fixture
def made(ledger):
    """An inference among others; checkpoints lie before and after it."""
    for _ in range(10):
        ledger.infer()
    found = ledger.infer()
    for _ in range(10):
        ledger.infer()
    return found


@pytest.fixture
def text(ledger, made):
    return ledger.proofs.receipt(made.notes.event_id).text()


def test_it_says_what_was_inferred(ledger, made, text):
    found = verify_receipt(text.encode(), ledger.key)
    assert found.faults == []
    assert found.said["agency"] == ACCOUNT
    assert found.said["id"] == made.notes.event_id
    assert found.said["model_digest"] == "sha256:" + "5a" * 32
    assert (found.said["input_tokens"], found.said["output_tokens"]) == (3, 2)
    assert (found.said["energy_j"], found.said["energy"][:8]) == (30.0, "modelled")
    assert found.said["guardrail"].startswith("absent: ")
    assert found.origin == "bastide/test"
    assert "record" in found.text()
    assert "2 cores x 10 W" in found.text()


def test_neither_salt_nor_texts_are_in_it(made, text):
    assert made.notes.headers[SALT_HEADER] not in text
    assert base64.b64decode(made.notes.headers[SALT_HEADER]).hex() not in text
    assert ANSWER.decode() not in text


def test_the_salt_opens_it(ledger, made, text):
    salt = base64.b64decode(made.notes.headers[SALT_HEADER])
    prompt = json.dumps({**ASKED, "inferenceConfig": {}}, indent=4).encode()

    def opened(**kept):
        return verify_receipt(text.encode(), ledger.key, Opening(**{"salt": salt, **kept}))

    assert opened(prompt=prompt, answer=ANSWER).opened == ["prompt", "answer"]
    assert opened(prompt=prompt.replace(b"hi", b"ho")).faults
    assert opened(answer=ANSWER + b".").faults
    assert opened(answer=ANSWER, salt=bytes(16)).faults
    assert opened(prompt=b"[]").faults
    assert opened(prompt=b"{").faults


@pytest.fixture(params=["inference", "transfer"])
def any_text(request, ledger, made):
    event_id = made.notes.event_id if request.param == "inference" else ledger.move()
    return ledger.proofs.receipt(event_id).text()


def test_every_mutated_byte_is_found(ledger, any_text):
    content, chance = any_text.encode(), random.Random(11)
    for at in range(len(content)):
        for value in {content[at] ^ 1 << chance.randrange(8), chance.randrange(256), 0x20}:
            if value != content[at]:
                bad = content[:at] + bytes([value]) + content[at + 1 :]
                assert not verify_receipt(bad, ledger.key).ok, (at, value)
        assert not verify_receipt(content[:at] + content[at + 1 :], ledger.key).ok, at
        assert not verify_receipt(content[:at] + b" " + content[at:], ledger.key).ok, at


@pytest.mark.parametrize("bad", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b"1" * 9_999])
def test_what_is_no_receipt(ledger, bad):
    assert verify_receipt(bad, ledger.key).faults


def test_another_regions_key_opens_nothing(ledger, text, tmp_path):
    other = load_signer(tmp_path / "other", "bastide/test").verifier.text()
    assert not verify_receipt(text.encode(), other).ok
    with pytest.raises(BadNote):
        verify_receipt(text.encode(), "rubbish")


def test_true_records_of_two_calls_are_no_receipt(ledger, made, text):
    after = [ledger.infer() for _ in range(3)]
    found = [ledger.proofs.receipt(one.notes.event_id) for one in after]
    pair = [one for one in found if one.checkpoint == found[-1].checkpoint][-2:]
    assert len(pair) == 2
    mixed = replace(pair[1], call=pair[0].call)
    assert "not a call" in verify_receipt(mixed.text().encode(), ledger.key).faults[0]
    mine = ledger.proofs.receipt(made.notes.event_id)
    swapped = replace(mine, call=mine.end, end=mine.call)
    assert not verify_receipt(swapped.text().encode(), ledger.key).ok


def test_only_inferences_that_succeeded_have_one(ledger):
    plain, failed, unended = call("s3.PutObject"), call(), call()
    ledger.trail.opened(plain, {}).result(30)
    ledger.trail.closed(plain, 200, "")
    ledger.trail.opened(failed, {}).result(30)
    ledger.trail.closed(failed, 500, "InternalFailure")
    ledger.trail.opened(unended, {}).result(30)
    ledger.settle()
    for one in (plain, failed, unended):
        with pytest.raises(ServiceError, match="no such receipt"):
            ledger.proofs.receipt(one.notes.event_id)
    with pytest.raises(ServiceError, match="No call nobody"):
        ledger.proofs.receipt("nobody")


def test_one_that_a_failure_followed_does_not_verify(ledger):
    """The answer was whole, and then its client was gone: the end says so."""
    broken = ledger.infer(status=500)
    text = ledger.proofs.receipt(broken.notes.event_id).text()
    assert "succeeded" in verify_receipt(text.encode(), ledger.key).faults[0]


def test_one_of_a_stream_that_broke_off_is_of_what_was_written(ledger):
    broken = ledger.infer(code="ModelStreamErrorException")
    found = verify_receipt(ledger.proofs.receipt(broken.notes.event_id).text().encode(), ledger.key)
    assert found.ok, found.faults
    assert found.said["end"] == "broke off: ModelStreamErrorException"
    assert (found.said["input_tokens"], found.said["output_tokens"]) == (3, 2)
    assert "broke off: ModelStreamError" in found.text()


def test_the_very_first_and_the_newest(ledger):
    first = ledger.infer()
    for made in (first, ledger.infer()):
        text = ledger.proofs.receipt(made.notes.event_id).text()
        assert verify_receipt(text.encode(), ledger.key).ok
        assert parse(text).text() == text
    with pytest.raises(BadReceipt):
        parse(text + "\n")


def test_the_receipt_of_a_transfer_says_what_crossed(ledger, made):
    found = verify_receipt(ledger.proofs.receipt(ledger.move()).text().encode(), ledger.key)
    assert (found.ok, found.said["operation"]) == (True, "TransferReleased")
    assert {name: found.said[name] for name in asdict(MOVED)} == {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(MOVED).items()
    }
    assert "officers: ann, bob" in found.text()


def test_what_a_stranger_says_of_himself_is_bounded(ledger):
    long = replace(MOVED, agency="x" * 100_000)
    text = ledger.proofs.receipt(ledger.move(long)).text()
    assert len(verify_receipt(text.encode(), ledger.key).said["agency"]) == 1024


def test_neither_kind_of_receipt_passes_for_the_other(ledger, made):
    moved, talked = (ledger.proofs.receipt(one) for one in (ledger.move(), made.notes.event_id))
    for wrong in (replace(talked, call=None), replace(moved, call=moved.end)):
        assert not verify_receipt(wrong.text().encode(), ledger.key).ok
    opening = Opening(salt=bytes(16), answer=ANSWER)
    assert verify_receipt(moved.text().encode(), ledger.key, opening).faults


def begun(ledger, operation="bedrock-runtime.Converse", request="gone", **more):
    made = replace(call(operation, **more), request_id=request)
    ledger.trail.opened(made, {"modelId": "test.tiny-v1:0", "Bucket": "b"}).result(30)
    return made


def closed(ledger):
    """The records that close a call, by the call's id."""
    rows = ledger.database.read(lambda c: records.leaves_from(c, 0, 1_000))
    found = [decode(body) for _, body, _ in rows]
    return {each.id: each for each in found if each.kind == Kind.CLOSED}


def test_a_call_whose_end_was_lost_is_closed_once_and_its_receipt_says_so(ledger):
    ledger.infer()
    gone, plain = begun(ledger), begun(ledger, "s3.PutObject", "plain")
    assert ledger.infer(replace(call(), request_id="later"))
    assert close_lost_ends(ledger.database, ledger.trail) == 2
    ends = closed(ledger)
    end = ends[gone.notes.event_id]
    assert (end.code, end.status, end.request_id) == ("EndLost", 0, "gone")
    assert ends[plain.notes.event_id].inference is None
    assert len(ends) == 4
    receipt = ledger.proofs.receipt(gone.notes.event_id).text()
    found = verify_receipt(receipt.encode(), ledger.key)
    assert found.ok, found.faults
    said = found.said
    assert (said["end"][:5], said["ended_ms"]) == ("lost:", None)
    assert said["model"] == "absent: the end of the call was lost; asked was test.tiny-v1:0"
    unknown = ("input_tokens", "output_tokens", "energy_j")
    assert [said[name] for name in unknown] == [None, None, None]
    assert {said[name][:7] for name in ("prompt", "answer", "policy", "energy")} == {"absent:"}
    assert "lost: the region stopped" in found.text()
    opening = Opening(salt=b"s", prompt=b"p")
    assert "was lost" in verify_receipt(receipt.encode(), ledger.key, opening).faults[0]
    with pytest.raises(ServiceError, match="no inference"):
        ledger.proofs.receipt(plain.notes.event_id)
    size = ledger.log.size
    assert close_lost_ends(ledger.database, ledger.trail) == 0
    assert len(closed(ledger)) == 4
    assert ledger.database.read(records.ends_known) == size, "the next start begins there"


def test_what_a_start_that_was_killed_left_is_closed_by_the_next(ledger):
    first, second = begun(ledger), begun(ledger, request="another")
    ledger.trail.lost(0, decode(ledger.database.read(lambda c: records.leaves_from(c, 0, 1))[0][1]))
    ledger.settle()
    assert close_lost_ends(ledger.database, ledger.trail) == 1
    assert set(closed(ledger)) == {first.notes.event_id, second.notes.event_id}


def test_an_end_that_did_not_know_its_calls_index_counts_as_one(ledger):
    made = begun(ledger)
    body = ledger.database.read(lambda c: records.leaves_from(c, 0, 1))[0][1]
    end = msgspec.structs.replace(decode(body), kind=Kind.CLOSED, status=200)
    ledger.log.append(encode(end), account=ACCOUNT, time_ms=end.time, label="U").result(30)
    assert close_lost_ends(ledger.database, ledger.trail) == 0
    assert closed(ledger)[made.notes.event_id].status == 200


def test_the_record_that_an_owner_gets_of_anothers_read_has_no_end_to_lose(ledger):
    shared = Crossed("999999999999", "arn:aws-us-gov:s3:::theirs/k")
    ledger.trail.crossed(call().principal, shared)
    assert close_lost_ends(ledger.database, ledger.trail) == 0
    assert closed(ledger) == {}


@pytest.mark.parametrize(
    "harm", [{"status": 500}, {"code": "InternalFailure"}, {"inference": None}]
)
def test_no_other_end_is_taken_for_a_lost_one(ledger, harm):
    made = begun(ledger)
    body = ledger.database.read(lambda c: records.leaves_from(c, 0, 1))[0][1]
    end = msgspec.structs.replace(
        decode(body), kind=Kind.CLOSED, opened=0, code="EndLost", decision="",
        inference=lost_inference("m", "U"),
    )  # fmt: skip
    end = msgspec.structs.replace(end, **harm)
    ledger.log.append(encode(end), account=ACCOUNT, time_ms=end.time, closes=0, label="U").result(
        30
    )
    if harm == {"inference": None}:
        with pytest.raises(ServiceError):
            ledger.proofs.receipt(made.notes.event_id)
        return
    text = ledger.proofs.receipt(made.notes.event_id).text()
    assert not verify_receipt(text.encode(), ledger.key).ok

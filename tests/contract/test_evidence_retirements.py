"""Records are retired by two, whole or not at all, and the log is still what was signed."""

import gzip
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.receipts_kit import ACCOUNT
from tests.retirement_kit import OLD_S, Archive

from bastide.audit import records, retirement_records
from bastide.audit.log import MerkleLog
from bastide.audit.records import Span
from bastide.audit.trail import AuditTrail
from bastide.evidence import retirements
from bastide.evidence.model import Trail
from bastide.evidence.receipts import verify_receipt
from bastide.evidence.retirements import Asked, Retirements
from bastide.evidence.show import Wanted, show
from bastide.evidence.verify import verify
from bastide.kernel.approvals import Kind, NotApproved
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.policy.approval_model import Refused

SPAN = Span(account=ACCOUNT, since_ms=0, until_ms=2**60, labels=["U"], unlabelled=False)
LAST = 19


@pytest.fixture
def archive(database, tmp_path):
    """Officers, then inferences, of which the first are old."""
    made = Archive(database, tmp_path)
    made.begin()
    for _ in range(10):
        made.infer()
    made.clock.advance(OLD_S)
    yield made
    made.log.close()


@pytest.fixture
def check(archive, database_url):
    def look(*files):
        archive.log.vouch(archive.log.size)
        return verify(database_url, archive.key, files=files)

    return look


def bodies(archive):
    found = archive.database.read(lambda c: records.leaves_from(c, 0, 10_000))
    return {index: body for index, body, _ in found}


def seen(archive):
    """What a look-up may still find, by index."""
    with_floor = lambda c: records.newest_first(  # noqa: E731
        c, replace(SPAN, first=retirement_records.retired(c)), 1000
    )
    return sorted(index for _, index, _ in archive.database.read(with_floor))


def execute(archive, statement, **values):
    archive.database.write(lambda c: c.execute(text(statement), values))


def test_what_two_signed_for_goes_and_the_log_is_whole(archive, check, database_url):
    before = bodies(archive)
    later = archive.infer()
    done = archive.retire(LAST)
    assert (done["first"], done["last"], done["records"]) == (0, LAST, LAST + 1)
    after = bodies(archive)
    assert {index for index in after if not after[index]} == set(range(LAST + 1))
    assert {i: after[i] for i in before if after[i]} == {i: before[i] for i in before if after[i]}
    assert min(seen(archive)) > LAST
    verdict = check()
    assert verdict.ok, verdict.text()
    assert f"20 of the records 0 to {LAST} were retired by approval {done['request']}" in (
        verdict.text()
    )
    assert "hashes are kept" in verdict.text()
    file = archive.files / f"records-{0:012}-{LAST + 1:012}.jsonl.gz"
    assert done["file"] == str(file)
    assert file.stat().st_mode & 0o777 == 0o600
    whole = check(file)
    assert whole.ok, whole.text()
    assert "shows them as they were" in whole.text()
    kept = gzip.decompress(file.read_bytes()).split(b"\n")
    assert kept[1:-1] == [before[index] for index in range(LAST + 1)]
    receipt = archive.proofs.receipt(later.notes.event_id).text().encode()
    assert verify_receipt(receipt, archive.key).ok
    assert show(database_url, Wanted(last=10_000))[0]["index"] > LAST


def test_the_log_goes_on_after_it_and_the_next_retirement_begins_there(archive, check):
    archive.retire(LAST)
    archive.log.close()
    again = MerkleLog(archive.database, archive.signer, archive.clock)
    again.start()
    again.append(b"more").result(30)
    again.close()
    archive.log.start()
    with pytest.raises(ServiceError, match=f"begins with record {LAST + 1}"):
        archive.agree(LAST)
    done = archive.retire(LAST + 4)
    assert (done["first"], done["last"]) == (LAST + 1, LAST + 4)
    verdict = check(*sorted(archive.files.iterdir()))
    assert verdict.ok, verdict.text()
    assert [one.gone for one in verdict.retired] == [LAST + 1, 4]


def test_what_is_about_retirements_stays(archive, check):
    first = archive.retire(3)
    archive.clock.advance(OLD_S)
    size = archive.log.size
    archive.retire(size - 1)
    verdict = check()
    assert verdict.ok, verdict.text()
    assert verdict.retired[0].said.request == first["request"]
    kept = [json.loads(body) for index, body in bodies(archive).items() if body and index < size]
    assert {"RequestApproval", "ApproveRequest", "UseApproval", "RetireRecords"} == {
        record["operation"] for record in kept
    }


def test_nobody_alone_and_nothing_else_than_was_signed(archive):
    asked = Asked(requester="operator", up_to=5)
    with pytest.raises(NotApproved) as waits:
        archive.retirements.retire(asked)
    archive.office.say(waits.value.request_id, "ann")
    with pytest.raises(NotApproved):
        archive.retirements.retire(asked)
    archive.office.enrol("cyn", "security-officer")
    with pytest.raises(Refused):
        archive.office.say(waits.value.request_id, "cyn")  # no auditor
    archive.office.say(waits.value.request_id, "bob")
    with pytest.raises(NotApproved):
        archive.retirements.retire(replace(asked, up_to=6))
    assert all(bodies(archive).values())
    assert archive.retirements.retire(asked)["last"] == 5


def test_what_is_young_stays_whoever_signs(archive):
    archive.clock.advance(-OLD_S)
    for asked in (
        Asked(requester="operator", up_to=5),
        Asked(requester="operator", before=archive.clock.now() + timedelta(seconds=1)),
        Asked(requester="operator", up_to=2**70),
    ):
        with pytest.raises(ServiceError, match=r"kept for 90 days.*record 0 "):
            archive.retirements.retire(asked)
    archive.clock.advance(OLD_S)
    asked = archive.agree(5)
    archive.clock.advance(-OLD_S)
    with pytest.raises(ServiceError, match="kept for 90 days"):
        archive.retirements.retire(asked)
    assert all(bodies(archive).values())


def test_by_date(archive):
    begun = archive.clock.now()
    edge = archive.log.size
    archive.infer()
    archive.clock.advance(OLD_S)
    asked = Asked(requester="operator", before=begun)
    with pytest.raises(NotApproved) as waits:
        archive.retirements.retire(asked)
    for name in ("ann", "bob"):
        archive.office.say(waits.value.request_id, name)
    assert archive.retirements.retire(asked)["last"] == edge - 1


def test_trails_are_delivered_first(archive):
    trail = Trail(account=ACCOUNT, name="evidence", label="U", bucket="b", prefix="",
                  has_digests=True, error="AccessDenied")  # fmt: skip
    archive.deliveries.left.append(trail)
    with pytest.raises(ServiceError, match=f"evidence of {ACCOUNT} .AccessDenied"):
        archive.retirements.retire(Asked(requester="operator", up_to=5))
    assert archive.deliveries.asked == [0, 6]


def test_what_was_changed_before_is_not_retired(archive):
    execute(archive, 'UPDATE audit_leaves SET body = :body WHERE "index" = 3', body=b"{}")
    with pytest.raises(ServiceError, match="Record 3 is not what its hash says"):
        archive.agree(5)


STEPS = [
    (Retirements, "_written"), (AuditTrail, "operator"), (MerkleLog, "vouch"),
    (retirement_records, "set_recorded"), (retirements, "_drop"), (retirement_records, "set_done"),
]  # fmt: skip


@pytest.mark.parametrize(("owner", "step"), STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_is_made_good(archive, check, monkeypatch, owner, step, when):
    """What the step would do is done, or not; then the process is gone."""
    asked = archive.agree(LAST)
    real = getattr(owner, step)

    def crashes(*args, **more):
        if step == "operator" and args[1] != "RetireRecords":
            return real(*args, **more)
        if when == "after":
            done = real(*args, **more)
            if step == "operator":
                done.result(30)
        raise Unavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, crashes)
        with pytest.raises(Unavailable, match="gone"):
            archive.retirements.retire(asked)
    verdict = check()
    assert verdict.ok, verdict.text()
    recorded = archive.database.read(retirement_records.retired)
    assert (0 in seen(archive) or min(seen(archive)) <= LAST) == (recorded == 0)
    archive.retirements.finish()
    assert not any(bodies(archive)[index] for index in range(LAST + 1))
    whole = check(*archive.files.glob("records-*"))
    assert whole.ok, whole.text()
    assert "shows them" in whole.text()
    assert not any(path.name.endswith(".tmp") for path in archive.files.iterdir())
    before = archive.log.size
    archive.retirements.finish()
    assert archive.log.size == before, "there is nothing left to do"


def gone(archive, first, last):
    execute(
        archive,
        "UPDATE audit_leaves SET body = :none, account = '', time_ms = 0, label = '', "
        'closes = NULL WHERE "index" BETWEEN :first AND :last',
        none=b"", first=first, last=last,
    )  # fmt: skip


def test_a_removal_that_nobody_approved_is_named(archive, check):
    gone(archive, 7, 8)
    assert [fault.index for fault in check().faults] == [7]


def test_a_removal_beyond_what_was_approved_is_named(archive, check):
    archive.retire(LAST)
    gone(archive, LAST + 2, LAST + 2)
    assert [fault.index for fault in check().faults] == [LAST + 2]


def test_a_retirement_that_only_the_database_tells_of_is_named(archive, check):
    gone(archive, 0, 4)
    execute(
        archive,
        "INSERT INTO audit_retirements (size, first, newest, hashes_sha256, request, recorded, "
        "done) VALUES (5, 0, '', '', 'r', true, true)",
    )
    assert [fault.index for fault in check().faults] == [0]


def test_a_record_without_an_approval_explains_nothing(archive, check, monkeypatch):
    """The region's own words, but nobody signed."""
    monkeypatch.setattr(
        type(archive.office.book), "carry_out", lambda book, kind, action, asks, work:
        book.database.write(work),
    )  # fmt: skip
    archive.retirements.retire(Asked(requester="operator", up_to=4))
    assert [fault.index for fault in check().faults] == [0]


def test_a_retirement_is_believed_only_under_a_checkpoint(archive, database_url):
    archive.retire(4)
    execute(archive, "DELETE FROM audit_checkpoints WHERE size > 30")
    verdict = verify(database_url, archive.key)
    assert [fault.index for fault in verdict.faults] == [0]


def test_columns_that_still_say_something_are_named(archive, check):
    archive.retire(4)
    execute(archive, "UPDATE audit_leaves SET account = '123456789012' WHERE \"index\" = 2")
    assert [fault.index for fault in check().faults] == [2]


def _cut(content):
    return content[:-20]


def _changed(content):
    return gzip.compress(gzip.decompress(content).replace(b"allow", b"deny.", 1), mtime=0)


def _one_more(content):
    return gzip.compress(gzip.decompress(content) + b"{}\n", mtime=0)


def _no_header(content):
    return gzip.compress(gzip.decompress(content).partition(b"\n")[2], mtime=0)


@pytest.mark.parametrize("harm", [_cut, _changed, _one_more, _no_header, lambda content: b""])
def test_a_file_that_is_not_the_one_is_named(archive, check, harm, tmp_path):
    file = tmp_path / "given"
    file.write_bytes(harm(Path(archive.retire(4)["file"]).read_bytes()))
    verdict = check(file)
    assert not verdict.ok
    assert "no such file" in verdict.text()


@pytest.mark.parametrize("harm", [_cut, _changed, _one_more, _no_header, lambda content: b""])
def test_a_file_of_wrong_records_that_the_region_itself_told_of_is_named(
    archive, check, harm, monkeypatch
):
    """Its hash is the log's, what is in it is not."""
    kind = type(archive.retirements)
    real = kind._sha256

    def spoilt(self, what):
        path = self.folder / what.file_name
        path.write_bytes(harm(path.read_bytes()))
        return real(self, what)

    asked = archive.agree(4)
    monkeypatch.setattr(kind, "_sha256", spoilt)
    verdict = check(archive.retirements.retire(asked) and next(archive.files.iterdir()))
    assert not verdict.ok
    assert "is not shown by" in verdict.text()


def test_the_kind_is_the_one_that_an_auditor_signs(archive):
    archive.retire(4)
    (used,) = [one for one in archive.office.book.listed(all_=True) if one.ended == "used"
               and one.kind is Kind.AUDIT_RETIREMENT]  # fmt: skip
    assert sorted(one.officer for one in used.signatures) == ["ann", "bob"]

"""The Merkle log on a real database: order, durability, resumption, refusal."""

import shutil
import threading

import pytest
from sqlalchemy import text

from bastide.audit import records
from bastide.audit.log import MerkleLog, TornLog
from bastide.audit.signing import load_signer
from bastide.db import Database
from bastide.evidence.verify import verify
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import Unavailable
from bastide.kernel.merkle import leaf_hash

ORIGIN = "bastide/us-gov-west-1"
DEADLINE_S = 30


@pytest.fixture
def signer(tmp_path):
    return load_signer(tmp_path / "keys", ORIGIN)


@pytest.fixture
def new_log(database, signer):
    made = []

    def make(**settings):
        log = MerkleLog(database, signer, ManualClock(), **settings)
        made.append(log)
        log.start()
        return log

    yield make
    for log in made:
        log.close()


def fill(log, count, first=0):
    written = [log.append(b"record %d" % n) for n in range(first, first + count)]
    return [each.result(DEADLINE_S) for each in written]


def verdict(database_url, signer):
    return verify(database_url, signer.verifier.text())


def test_indices_are_in_order_and_the_log_verifies(new_log, database_url, signer):
    log = new_log(checkpoint_leaves=64)
    for first in range(0, 300, 50):
        assert fill(log, 50, first) == list(range(first, first + 50))
    log.close()
    found = verdict(database_url, signer)
    assert (found.ok, found.records, found.signed) == (True, 300, 300), found.text()
    assert found.checkpoints >= 3


def test_a_record_commits_no_later_than_what_follows_it(new_log, database):
    """The effect sees its own record, in the same group or an earlier one."""
    log = new_log()

    def effect(connection):
        return records.size(connection)

    for n in range(200):
        log.append(b"%d" % n)
        if n % 7 == 0:
            assert database.write(effect) >= n + 1
    log.close()


def test_it_goes_on_after_a_restart(new_log, database_url, signer):
    for round_ in range(4):
        log = new_log(checkpoint_leaves=10)
        assert fill(log, 33, round_ * 33) == list(range(round_ * 33, round_ * 33 + 33))
        log.close()
    assert verdict(database_url, signer).records == 132
    assert verdict(database_url, signer).ok


def test_it_goes_on_after_a_crash(new_log, database_url, signer):
    """Nobody closed the first log: its tail is not signed."""
    fill(new_log(), 20)
    log = new_log()
    assert fill(log, 5) == list(range(20, 25))
    assert verdict(database_url, signer).ok
    log.close()


def test_many_threads(new_log, database_url, signer):
    log = new_log(checkpoint_leaves=50)
    seen = []

    def run(name):
        for n in range(40):
            seen.append(log.append(b"%d/%d" % (name, n)).result(DEADLINE_S))

    threads = [threading.Thread(target=run, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    log.close()
    assert sorted(seen) == list(range(320))
    assert verdict(database_url, signer).ok


def test_a_closed_log_takes_no_record(new_log):
    log = new_log()
    log.close()
    log.close()
    with pytest.raises(Unavailable):
        log.append(b"x")


def test_a_waiter_that_goes_away_does_not_take_its_record_back(new_log):
    log = new_log()
    written = log.append(b"x")
    assert not written.cancel()
    assert written.result(DEADLINE_S) == 0
    log.close()


def test_records_that_cannot_be_written_are_refused_and_the_log_goes_on(
    new_log, database, database_url, signer
):
    log = new_log()
    fill(log, 3)
    database.write(lambda c: c.execute(text("ALTER TABLE audit_leaves RENAME TO hidden")))
    with pytest.raises(Unavailable):
        log.append(b"lost").result(DEADLINE_S)
    database.write(lambda c: c.execute(text("ALTER TABLE hidden RENAME TO audit_leaves")))
    assert fill(log, 3) == [3, 4, 5]
    log.close()
    assert verdict(database_url, signer).ok


def test_a_quiet_log_is_signed_in_time(new_log, database):
    log = new_log(checkpoint_s=0.01)
    fill(log, 3)
    signed = threading.Event()

    def look():
        while (last := database.read(records.last_checkpoint)) is None or last.size < 3:
            pass
        signed.set()

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    assert signed.wait(DEADLINE_S)
    log.close()


@pytest.mark.parametrize(
    ("harm", "index"),
    [
        ("UPDATE audit_leaves SET body = :other WHERE \"index\" = 13", 13),
        ("DELETE FROM audit_leaves WHERE \"index\" = 13", 13),
        ("DELETE FROM audit_leaves WHERE \"index\" >= 13", 13),
        ("UPDATE audit_leaves SET body = :other, hash = :hash WHERE \"index\" = 13", 0),
        ("DELETE FROM audit_checkpoints", 0),
        ("UPDATE audit_checkpoints SET note = 'x' WHERE size = 30", 30),
        ("UPDATE audit_checkpoints SET size = 29 WHERE size = 30", 29),
    ],
)  # fmt: skip
def test_a_changed_log_is_refused_by_its_index(new_log, database, harm, index):
    log = new_log()
    fill(log, 30)
    log.close()
    other = b"other"
    values = {"other": other, "hash": leaf_hash((13).to_bytes(8, "big") + other)}
    used = {name: value for name, value in values.items() if f":{name}" in harm}
    database.write(lambda c: c.execute(text(harm), used))
    with pytest.raises(TornLog) as refused:
        new_log()
    assert refused.value.index == index


def test_a_long_log_resumes_from_its_frontier(new_log, database, monkeypatch):
    monkeypatch.setattr("bastide.audit.resume.RECHECKED_MIN", 20)
    log = new_log(checkpoint_leaves=10)
    for first in range(0, 100, 5):
        fill(log, 5, first)
    log.close()
    database.write(
        lambda c: c.execute(text('UPDATE audit_leaves SET body = hash WHERE "index" = 3'))
    )
    again = new_log(checkpoint_leaves=10)  # the old part is `audit verify`'s to find
    assert fill(again, 1) == [100]
    again.close()
    empty = records.checkpoints.update().values(frontier=b"")
    database.write(lambda c: c.execute(empty))
    with pytest.raises(TornLog):
        new_log()


def test_a_full_disk_refuses_work(tmp_path, signer):
    """SQLite's own limit on pages stands in for the disk's."""
    database = Database(f"sqlite:///{tmp_path}/full.db")
    database.start(create=True)
    log = MerkleLog(database, signer, ManualClock())
    log.start()
    fill(log, 2)
    pages = database.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
    database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar())
    with pytest.raises(Unavailable):
        log.append(bytes(1_000_000)).result(DEADLINE_S)
    database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000").scalar())
    assert fill(log, 2) == [2, 3]
    log.close()
    database.close()


def test_the_key_is_private_and_stays(tmp_path):
    first = load_signer(tmp_path / "k", ORIGIN)
    assert (tmp_path / "k" / "audit.key").stat().st_mode & 0o777 == 0o600
    assert load_signer(tmp_path / "k", ORIGIN).verifier.text() == first.verifier.text()
    assert (tmp_path / "k" / "audit.pub").read_text().strip() == first.verifier.text()
    with pytest.raises(ValueError, match="public half"):
        load_signer(tmp_path / "k", "another/origin")
    (tmp_path / "k" / "audit.key").chmod(0o644)
    with pytest.raises(PermissionError):
        load_signer(tmp_path / "k", ORIGIN)


def test_a_damaged_key_is_refused(tmp_path):
    load_signer(tmp_path / "k", ORIGIN)
    key = tmp_path / "k" / "audit.key"
    whole = key.read_bytes()
    for content in (b"", whole[:30], b"x" + whole, whole[:-3]):
        key.write_bytes(content)
        with pytest.raises(ValueError, match="audit key"):
            load_signer(tmp_path / "k", ORIGIN)
    shutil.rmtree(tmp_path / "k")


def test_a_database_put_back_from_an_older_copy_is_refused(new_log, database, tmp_path):
    held = tmp_path / "held"
    log = new_log(held=held)
    fill(log, 10)
    log.close()
    new_log(held=held).close()  # unchanged: it goes on
    for table, column in ((records.leaves, "index"), (records.checkpoints, "size")):
        later = table.delete().where(table.c[column] >= 5)
        database.write(lambda c, later=later: c.execute(later))
    new_log().close()  # by itself the older copy is a whole log
    with pytest.raises(TornLog, match="older"):
        new_log(held=held)
    held.write_text("rubbish")
    with pytest.raises(TornLog, match="not ours"):
        new_log(held=held)


def test_what_nobody_waits_for_commits_with_the_next_and_soon_by_itself(new_log):
    log = new_log()
    late = log.append(b"late", patient=True)
    assert log.append(b"prompt").result(10) == 1
    assert late.result(10) == 0  # it went along, in its order
    assert log.append(b"alone", patient=True).result(10) == 2

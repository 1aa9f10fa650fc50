"""A log that several processes check is judged as one process judges it."""

import itertools
import sqlite3

import pytest
from tests.unit.evidence.test_evidence_tamper import COUNT, ROWS, SIGNER, signed

from bastide.evidence import stretches
from bastide.evidence.stored import opened
from bastide.evidence.stretches import Stretch, check
from bastide.evidence.verify import verify, verify_log

TABLES = """
CREATE TABLE audit_leaves ("index" INTEGER PRIMARY KEY, body BLOB, hash BLOB, account TEXT,
    time_ms INTEGER, label TEXT, closes INTEGER);
CREATE TABLE audit_checkpoints (size INTEGER PRIMARY KEY, note TEXT);
"""
EDGES = [stretches._LEAST, 50, 64, 150, 199, COUNT]
HARMS = [
    "UPDATE audit_leaves SET body = x'7b7d' WHERE \"index\" = {at}",
    "UPDATE audit_leaves SET body = x'' WHERE \"index\" = {at}",
    "UPDATE audit_leaves SET label = 'U' WHERE \"index\" = {at}",
    "UPDATE audit_leaves SET hash = x'00' WHERE \"index\" = {at}",
    'DELETE FROM audit_leaves WHERE "index" = {at}',
    'DELETE FROM audit_leaves WHERE "index" >= {at}',
    'UPDATE audit_leaves SET "index" = -1 WHERE "index" = {at}',
    'UPDATE audit_leaves SET "index" = 500 WHERE "index" = {at}',
]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "region.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(TABLES)
        connection.executemany("INSERT INTO audit_leaves VALUES (?, ?, ?, ?, ?, ?, ?)", ROWS)
        notes = signed(ROWS, [0, 64, 150, COUNT])
        connection.executemany("INSERT INTO audit_checkpoints VALUES (?, ?)", notes)
    connection.close()
    return path


def together(path):
    """In this process, stretch by stretch."""
    with opened(str(path)) as log:
        edges = [*[edge for edge in EDGES if edge < log.size()], log.size()]
        found = [check(str(path), *pair) for pair in itertools.pairwise(edges)]
        return verify_log(log, SIGNER.verifier, ahead=found)


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("at", [0, 49, 50, 149, 198, 199])
def test_every_harm_is_found_as_by_one(log, harm, at):
    with sqlite3.connect(log) as connection:
        connection.execute(harm.format(at=at))
    connection.close()
    alone = verify(str(log), SIGNER.verifier.text())
    assert not alone.ok
    assert together(log).as_dict() == alone.as_dict()


def test_a_whole_log_by_real_processes(log, monkeypatch):
    monkeypatch.setattr(stretches, "LONG", 10)
    monkeypatch.setattr(stretches, "STRETCH", 60)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    verdict = verify(str(log), SIGNER.verifier.text())
    assert (verdict.ok, verdict.records, verdict.signed) == (True, COUNT, COUNT)
    assert verdict.root == together(log).root
    with sqlite3.connect(log) as connection:
        connection.execute("UPDATE audit_leaves SET label = 'U' WHERE \"index\" = 130")
    connection.close()
    assert [fault.index for fault in verify(str(log), SIGNER.verifier.text()).faults] == [130]


def test_a_stretch_says_what_it_found(log):
    found = check(str(log), 50, 64)
    assert found == Stretch(50, 64, b"".join(row[2] for row in ROWS[50:64]))
    assert check(str(log), 50, COUNT + 1).hashes is None


def test_a_row_far_behind_the_others_makes_no_work(log, monkeypatch):
    monkeypatch.setattr(stretches, "LONG", 10)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with sqlite3.connect(log) as connection:
        connection.execute(f'UPDATE audit_leaves SET "index" = {2**62} WHERE "index" = 199')
    connection.close()
    (fault,) = verify(str(log), SIGNER.verifier.text()).faults
    assert (fault.index, fault.what) == (199, "it is missing")

"""A log that is read a page at once is judged as one that is read row by row."""

import sqlite3

import pytest
from tests.unit.evidence.test_evidence_tamper import COUNT, ROWS, SIGNER, signed

from bastide.evidence.verify import verify

TABLES = """
CREATE TABLE audit_leaves ("index" INTEGER PRIMARY KEY, body BLOB, hash BLOB, account TEXT,
    time_ms INTEGER, label TEXT, closes INTEGER);
CREATE TABLE audit_checkpoints (size INTEGER PRIMARY KEY, note TEXT);
"""
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
def log(tmp_path, monkeypatch):
    """Of four pages."""
    monkeypatch.setattr("bastide.evidence.stored.PAGE", 50)
    path = tmp_path / "region.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(TABLES)
        connection.executemany("INSERT INTO audit_leaves VALUES (?, ?, ?, ?, ?, ?, ?)", ROWS)
        notes = signed(ROWS, [0, 64, 150, COUNT])
        connection.executemany("INSERT INTO audit_checkpoints VALUES (?, ?)", notes)
    connection.close()
    return path


def judged(path):
    return verify(str(path), SIGNER.verifier.text())


@pytest.fixture
def row_by_row(monkeypatch):
    """Judges a log of which no page passes as whole."""

    def judge(path):
        with monkeypatch.context() as patched:
            patched.setattr("bastide.evidence.verify.is_whole", lambda rows, first: False)
            return judged(path)

    return judge


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("at", [0, 49, 50, 149, 198, 199])
def test_every_harm_is_found_as_row_by_row(log, row_by_row, harm, at):
    with sqlite3.connect(log) as connection:
        connection.execute(harm.format(at=at))
    connection.close()
    verdict = judged(log)
    assert not verdict.ok
    assert verdict.as_dict() == row_by_row(log).as_dict()


def test_a_whole_log(log, row_by_row):
    verdict = judged(log)
    assert (verdict.ok, verdict.records, verdict.signed) == (True, COUNT, COUNT)
    assert verdict.root == row_by_row(log).root
    with sqlite3.connect(log) as connection:
        connection.execute("UPDATE audit_leaves SET label = 'U' WHERE \"index\" = 130")
    connection.close()
    assert [fault.index for fault in judged(log).faults] == [130]


def test_a_row_far_behind_the_others_makes_no_work(log):
    with sqlite3.connect(log) as connection:
        connection.execute(f'UPDATE audit_leaves SET "index" = {2**62} WHERE "index" = 199')
    connection.close()
    (fault,) = judged(log).faults
    assert (fault.index, fault.what) == (199, "it is missing")

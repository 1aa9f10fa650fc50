"""Files are made and replaced whole; database faults are told from bugs."""

import sqlite3
import threading

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bastide.db import durable
from bastide.db.faults import translated
from bastide.kernel.errors import Unavailable


def test_only_the_first_creates(tmp_path):
    path = tmp_path / "key"
    assert durable.create(path, b"one")
    assert not durable.create(path, b"two")
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_of_many_one_creates(tmp_path):
    made, start = [], threading.Barrier(8)

    def run(name):
        start.wait(30)
        made.append(durable.create(tmp_path / "key", b"%d" % name))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(made) == [False] * 7 + [True]


def test_replacing_leaves_nothing_aside(tmp_path):
    path = tmp_path / "key"
    durable.replace(path, b"one")
    durable.replace(path, b"two")
    assert path.read_bytes() == b"two"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
    (tmp_path / "folder" / "x").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        durable.replace(tmp_path / "folder", b"three")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "key"]


def sqlite_error(name):
    error = sqlite3.OperationalError(name)
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_BUSY"])
def test_the_worlds_faults(name):
    for error in (sqlite_error(name), OperationalError("x", {}, sqlite_error(name))):
        told = translated(error)
        assert isinstance(told, Unavailable)
        assert told.__cause__ is error


def test_the_other_worlds_faults():
    assert isinstance(translated(PoolTimeout("x")), Unavailable)
    lost = OperationalError("x", {}, sqlite_error("SQLITE_ERROR"), connection_invalidated=True)
    assert isinstance(translated(lost), Unavailable)


def test_our_bugs_stay_bugs():
    for error in (
        LookupError("x"),
        sqlite_error("SQLITE_ERROR"),
        IntegrityError("x", {}, sqlite_error("SQLITE_CONSTRAINT")),
    ):
        assert translated(error) is error

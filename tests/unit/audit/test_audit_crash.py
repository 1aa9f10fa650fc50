"""`kill -9` at any moment and torn writes: no acknowledged record is lost, the chain is whole."""

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bastide.audit.log import MerkleLog
from bastide.audit.signing import load_signer
from bastide.db import Database
from bastide.evidence.verify import verify
from bastide.kernel.clock import ManualClock

WRITER = Path(__file__).with_name("audit_writer.py")
SOURCES = Path(__file__).parents[3] / "src"


def kill_after(folder, lines):
    """Run the writer, kill it after it acknowledged some records; the last that it did."""
    writer = subprocess.Popen(
        [sys.executable, str(WRITER), str(folder)],
        stdout=subprocess.PIPE, env={"PYTHONPATH": str(SOURCES)}, text=True,
    )  # fmt: skip
    assert writer.stdout is not None
    acknowledged = -1
    for _ in range(lines):
        acknowledged = int(writer.stdout.readline())
    writer.kill()
    rest, _ = writer.communicate()
    whole = rest.rpartition("\n")[0].split()
    return int(whole[-1]) if whole else acknowledged


def killed_often(folder, times, seed):
    chance, acknowledged = random.Random(seed), -1
    for _ in range(times):
        acknowledged = max(acknowledged, kill_after(folder, chance.randint(1, 60)))
        verdict = verify(f"{folder}/region.db", (folder / "keys" / "audit.pub").read_text())
        assert verdict.ok, verdict.text()
        assert verdict.records > acknowledged


def test_kill_9_loses_nothing_acknowledged(tmp_path):
    killed_often(tmp_path, times=20, seed=1)


@pytest.mark.slow
def test_kill_9_a_hundred_times(tmp_path):
    killed_often(tmp_path, times=100, seed=2)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A database, its write-ahead log, and how long that was when each record was durable."""
    folder = tmp_path_factory.mktemp("torn")
    database = Database(f"sqlite:///{folder}/region.db")
    database.start(create=True)
    database.write(lambda c: c.exec_driver_sql("PRAGMA wal_autocheckpoint=0").all())
    with sqlite3.connect(folder / "region.db") as connection:  # so that what is torn is the log
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    signer = load_signer(folder / "keys", "bastide/torn")
    log = MerkleLog(database, signer, ManualClock(), checkpoint_leaves=7)
    log.start()
    wal = folder / "region.db-wal"
    marks = []
    for number in range(60):
        log.append(b"record %d" % number).result(30)
        marks.append(wal.stat().st_size)
    taken = (folder / "region.db").read_bytes(), wal.read_bytes(), marks, signer
    log.close()
    database.close()
    return taken


def torn(wal, chance, mode):
    """The log as a power cut may leave it, and how much of it is as it was written."""
    cut = chance.randint(0, len(wal))
    left = bytearray(wal[:cut])
    if mode == 1:  # rubbish in the last sector
        left += chance.randbytes(min(512, len(wal) - cut))
    if mode == 2 and cut > 5000:  # a sector that never reached the disk
        hole = (cut - 4096) // 512 * 512
        left[hole : hole + 512] = bytes(len(left[hole : hole + 512]))
        cut = hole
    return bytes(left), cut


def check_torn(image, folder, count, seed):
    base, wal, marks, signer = image
    chance = random.Random(seed)
    key, checked = signer.verifier.text(), 0
    for number in range(count):
        left, cut = torn(wal, chance, number % 3)
        path = folder / f"t{number}.db"
        path.write_bytes(base)
        Path(f"{path}-wal").write_bytes(left)
        with sqlite3.connect(path) as connection:  # recovery, as a region's start does it
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        connection.close()
        durable = sum(mark <= cut for mark in marks)
        if not tables or not durable:
            continue
        verdict = verify(str(path), key)
        assert verdict.ok, verdict.text()
        assert verdict.records >= durable
        checked += 1
    assert checked > count // 2


def test_torn_writes_break_nothing(image, tmp_path):
    check_torn(image, tmp_path, 60, seed=3)


@pytest.mark.slow
def test_torn_writes_two_thousand_times(image, tmp_path):
    check_torn(image, tmp_path, 2000, seed=4)

"""`kill -9` while records are retired: the log is whole at once, and the retirement at its end."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.retirement_kit import Archive

from bastide.audit import records
from bastide.db import Database
from bastide.evidence.verify import verify
from bastide.kernel.retirement import MARK

PROGRAM = Path(__file__).with_name("retiring_program.py")
ROOT = Path(__file__).parents[3]


def killed(folder, writes):
    """The last record whose retirement was answered, when the process was killed."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder)], stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )  # fmt: skip
    assert process.stdout is not None
    said = list(iter(process.stdout.readline, "begun\n"))
    said += [process.stdout.readline() for _ in range(writes)]
    process.kill()
    rest, _ = process.communicate()
    lines = "".join([*said, rest]).splitlines()
    assert len(lines) > writes, "it ended by itself"
    return max((int(line.split()[1]) for line in lines if line.startswith("retired ")), default=-1)


def check(folder, writes):
    answered = killed(folder, writes)
    where = f"{folder}/region.db"
    public = (folder / "audit" / "audit.pub").read_text()
    verdict = verify(where, public)
    assert verdict.ok, verdict.text()
    database = Database(f"sqlite:///{where}")
    database.start()
    archive = Archive(database, folder)
    archive.retirements.finish()
    archive.log.close()
    leaves = database.read(lambda c: records.leaves_from(c, 0, 10_000))
    database.close()
    whole = verify(where, public, files=sorted((folder / "retired").glob("records-*")))
    assert whole.ok, whole.text()
    assert all(one.file for one in whole.retired)
    last = max((one.said.what.size for one in whole.retired), default=0) - 1
    assert last >= answered
    left = [body for index, body, _ in leaves if index <= last and body]
    assert all(MARK in body for body in left)
    return len(whole.retired)


def killed_often(folder, times, seed):
    chance, retired = random.Random(seed), 0
    for number in range(times):
        made = folder / str(number)
        made.mkdir()
        retired += check(made, chance.randint(1, 80))
    assert retired >= times


def test_kill_9_leaves_a_retirement_whole_or_undone(tmp_path):
    killed_often(tmp_path, times=3, seed=6)


@pytest.mark.slow
def test_kill_9_while_retiring_fifty_times(tmp_path):
    killed_often(tmp_path, times=50, seed=5)

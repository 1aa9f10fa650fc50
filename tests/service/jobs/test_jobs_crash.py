"""kill -9 of the control plane while jobs run: nothing is lost, nothing runs twice."""

import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.jobs_kit import Site, local_executor
from tests.labels_kit import US, in_use
from tests.service.jobs.control_plane import GROUP, Collecting
from tests.waiting import eventually

from bastide.jobs.model import Status
from bastide.logs import records
from bastide.logs.model import Span

HERE = Path(__file__).parent
PER_LIFE = 2
EVERYTHING = Span(start_ms=0, end_ms=2**60)


def one_life(folder, first, delay_s=0.0, begun=lambda: True):
    """Start it, let it submit, and kill it `delay_s` after `begun`; answers how many it
    acknowledged."""
    command = [sys.executable, str(HERE / "control_plane.py"), str(folder), str(first)]
    with subprocess.Popen([*command, str(PER_LIFE)], stdout=subprocess.PIPE, text=True) as process:
        accepted = 0
        for _ in range(PER_LIFE):
            accepted += bool(process.stdout.readline())
        eventually(begun, 60)
        threading.Event().wait(delay_s)  # the random moment of its death, not a wait for anything
        process.kill()
    return accepted


def attempts(folder, phase):
    """The states of the attempts that are in that phase, or were beyond it."""
    states = [json.loads(path.read_text()) for path in folder.glob("**/state.json")]
    return [state for state in states if phase in ("started", state["phase"])]


def told(site, name):
    view = in_use(site.database).view(US.lowest)

    def look(connection):
        group = records.find_group(connection, "111122223333", GROUP, view)
        stream = records.find_stream(connection, group, f"plain/111122223333/{name}")
        return records.read_events(connection, [stream.id], EVERYTHING)

    return [event.message for event in site.database.read(look)]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments(tmp_path, seed):
    moments = random.Random(seed)
    names = []
    for life in range(10):
        first = life * PER_LIFE
        assert one_life(tmp_path, first, moments.uniform(0, 0.5)) == PER_LIFE
        names += [f"n{number}" for number in range(first, first + PER_LIFE)]
    site = Site(tmp_path, local_executor(tmp_path), kind=Collecting(tmp_path))
    try:
        for name in names:
            job = site.wait(f"plain/111122223333/{name}")
            assert job.status is Status.COMPLETED, (job.exits, job)
            assert (tmp_path / "collected" / name).read_text() == "ran\n", "it ran exactly once"
        for number, name in enumerate(names):
            assert told(site, name) == [f"started {number}", f"ended {number}"], "each line once"
    finally:
        site.close()


def test_a_job_goes_on_without_the_control_plane(tmp_path):
    """It is killed while the job runs; the job ends by itself; the next life reports it."""
    one_life(tmp_path, 0, begun=lambda: len(attempts(tmp_path, "started")) == PER_LIFE)
    eventually(lambda: len(attempts(tmp_path, "exited")) == PER_LIFE, 60)
    site = Site(tmp_path, local_executor(tmp_path), kind=Collecting(tmp_path))
    try:
        for number in range(PER_LIFE):
            job = site.wait(f"plain/111122223333/n{number}")
            assert job.status is Status.COMPLETED
            assert (tmp_path / "collected" / f"n{number}").read_text() == "ran\n"
    finally:
        site.close()

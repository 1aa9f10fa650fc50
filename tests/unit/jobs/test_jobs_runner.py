"""What the simulation found (tests/sim), each as a short story of its own."""

import contextlib

import pytest
from tests.faults import Between
from tests.jobs_kit import PlainKind
from tests.sim.stepped import SteppedDatabase, SteppedWorkers

from bastide.jobs import hands, records
from bastide.jobs.capacity import Capacity
from bastide.jobs.fake import TERMINATED, Act, FakeExecutor
from bastide.jobs.folders import Folders
from bastide.jobs.machine import Terminate
from bastide.jobs.model import INTERNAL, LOST, JobSpec, Limits, Status
from bastide.jobs.runner import Runner
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import Unavailable


class Bench:
    """A runner that goes on only when told to; `refuses` names the calls that fail, and when."""

    def __init__(self, root):
        self.database = SteppedDatabase()
        self.executor = FakeExecutor(
            {
                "lasts": Act(lasts=True),
                "says": Act(prints=("one", "two")),
                "is lost": Act(code=137, cause=LOST),
            }
        )
        self.clock, self.workers, self.refuses = ManualClock(), SteppedWorkers(), {}
        self.folders = Folders(root)
        self.runner = Runner(
            database=Between(self.database, self.around, "database"),
            clock=self.clock,
            executor=Between(self.executor, self.around, "executor"),
            root=root,
            total=Capacity(4.0, 4 << 30),
            workers=self.workers,
        )
        self.kind = PlainKind()
        self.runner.register("plain", Between(self.kind, self.around, "kind"))
        self.runner.recover()

    def around(self, name, call):
        when, error = self.refuses.get(name, ("", None))
        if when == "before":
            raise error
        answer = call()
        if when == "after":
            raise error
        return answer

    def submit(self, program="works", name="job", **more):
        spec = JobSpec(
            id=f"plain/1/{name}", kind="plain", account="1", payload={"argv": [program]}, **more
        )
        self.runner.submit(spec)

    def job(self):
        return self.runner.find("plain/1/job")

    def go_on(self, seconds=30):
        for _ in range(seconds):
            self.clock.advance(1)
            self.outlive(self.runner.turn)
            while self.workers.tasks:
                self.outlive(self.workers.tasks.pop(0))

    def outlive(self, task):
        with contextlib.suppress(Exception):  # the workers log it
            task()


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.database.engine.dispose()


def test_a_job_whose_commit_was_not_confirmed_runs_without_a_restart(bench):
    bench.refuses["database.write"] = "after", Unavailable("lost")
    with pytest.raises(Unavailable):
        bench.submit()
    bench.refuses.clear()
    bench.go_on()
    assert bench.job().status is Status.COMPLETED


def test_that_a_service_answers_is_told_until_it_is_heard(bench):
    bench.kind.answering = False
    bench.submit("lasts", service=True)
    bench.go_on(5)
    bench.kind.answering = True
    bench.refuses["database.write"] = "before", RuntimeError("a bug")
    bench.go_on(3)
    assert bench.job().status is Status.RUNNING
    bench.refuses.clear()
    bench.go_on()
    assert bench.job().status is Status.READY


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("code", [0, TERMINATED])
@pytest.mark.parametrize("service", [False, True])
def test_a_launch_that_is_given_up_does_not_run_on_and_is_the_regions_doing(
    bench, when, code, service
):
    """It may have begun: then it is ended, and how it takes that is not what the job failed of."""
    bench.kind.answering = False
    bench.executor.terminated = code
    bench.refuses["executor.launch"] = when, OSError("late")
    bench.submit("lasts", service=service)
    bench.go_on(200)
    assert (bench.job().status, bench.job().failure) == (Status.FAILED, INTERNAL)
    attempt = bench.folders.attempt(bench.job(), 0, 1)
    assert bench.executor.report(attempt).exit is not None


@pytest.mark.parametrize("service", [False, True])
def test_what_was_lost_is_the_regions_doing(bench, service):
    bench.kind.answering = False
    bench.submit("is lost", service=service)
    bench.go_on(100)
    assert (bench.job().status, bench.job().failure) == (Status.FAILED, INTERNAL)


def test_who_ended_before_its_launch_was_given_up_has_ended_by_itself(bench):
    bench.refuses["executor.launch"] = "after", OSError("late")
    bench.submit("works")
    bench.go_on()
    assert bench.job().status is Status.COMPLETED


def test_a_stop_is_never_given_up(bench):
    bench.submit("lasts")
    bench.go_on(5)
    bench.refuses["executor.terminate"] = "before", OSError("no")
    bench.runner.stop("plain/1/job")
    bench.go_on(60)
    assert bench.job().status is Status.STOPPING
    bench.refuses.clear()
    bench.go_on()
    assert bench.job().status is Status.STOPPED


def test_a_job_is_not_forgotten_before_its_folder_is_gone(bench, monkeypatch):
    def refuse(*_, **__):
        raise OSError("busy")

    bench.submit("lasts")
    bench.go_on(5)
    with monkeypatch.context() as patched:
        patched.setattr(hands, "remove", refuse)
        bench.runner.forget("plain/1/job")
        bench.go_on(60)
        assert bench.job().status is Status.STOPPED
    bench.go_on()
    assert bench.job() is None
    assert not bench.folders.of("plain/1/job").exists()


def test_what_has_ended_is_not_terminated_again(bench):
    """It may have been swept, and would leave a folder of an attempt behind."""
    bench.submit()
    bench.go_on()
    bench.refuses["executor.terminate"] = "before", OSError("no")
    assert bench.runner._hands.carry_out(Terminate(0, 1), bench.job()) == []


def test_a_place_that_could_not_be_told_of_is_not_waited_for(bench):
    """The small one has its place; the large one, which came next, waits for that place."""
    bench.submit("lasts", "holds", limits=Limits(cpus=2.0))
    bench.go_on(5)
    bench.submit("works", "small", limits=Limits(cpus=1.0))
    bench.runner.turn()
    bench.refuses["database.write"] = "before", Unavailable("lost")
    while bench.workers.tasks:
        bench.outlive(bench.workers.tasks.pop(0))
    bench.refuses.clear()
    bench.submit("works", "large", limits=Limits(cpus=2.5))
    bench.runner.turn()  # the small one is not asked again yet
    bench.go_on()
    assert bench.runner.find("plain/1/small").status is Status.COMPLETED
    bench.runner.stop("plain/1/holds")
    bench.go_on()
    assert bench.runner.find("plain/1/large").status is Status.COMPLETED


def test_who_comes_later_does_not_go_first(bench):
    """Not even while a large job, which waits for room, is between two askings."""
    limits = {size: Limits(cpus=size) for size in (2.0, 4.0)}
    bench.submit("lasts", name="small", limits=limits[2.0])
    bench.go_on(3)
    bench.submit("lasts", name="large", limits=limits[4.0])
    bench.go_on(3)
    bench.submit("lasts", name="late", limits=limits[2.0])
    bench.runner.turn()  # no time has passed
    bench.go_on(3)
    status = {name: bench.runner.find(f"plain/1/{name}").status for name in ("large", "late")}
    assert status == {"large": Status.PENDING, "late": Status.PENDING}
    bench.runner.stop("plain/1/large")
    bench.go_on(3)
    assert bench.runner.find("plain/1/late").status is Status.RUNNING


def test_a_database_that_is_away_is_asked_once_a_second(bench):
    """Each time is a line of the log with its trace."""
    bench.refuses["database.write"] = bench.refuses["database.read"] = "before", Unavailable("away")
    with pytest.raises(Unavailable):
        bench.submit()
    failed = 0
    for _ in range(30):
        bench.clock.advance(0.1)
        try:
            bench.runner.turn()
        except Unavailable:
            failed += 1
    assert 2 <= failed <= 4


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (Unavailable("no room"), Status.RUNNING, ["one", "two"]),
        (RuntimeError("a bug"), Status.COMPLETED, []),
    ],
)
def test_lines_wait_for_the_world_and_are_given_up_for_a_bug(bench, error, status, lines):
    bench.refuses["kind.logged"] = "before", error
    bench.submit("says")
    bench.go_on()
    assert bench.job().status is status
    bench.refuses.clear()
    bench.go_on()
    assert bench.job().status is Status.COMPLETED
    assert bench.kind.lines == lines


def test_of_a_replica_that_begins_again_and_again_one_place_is_kept(bench):
    for attempt in (1, 2, 3):
        upto = (0, attempt)
        bench.database.write(lambda c, n=attempt, u=upto: records.tell_lines(c, "job", 0, n, u))
    places = [
        bench.database.read(lambda c, n=attempt: records.lines_told(c, "job", 0, n))
        for attempt in (1, 2, 3)
    ]
    assert places == [(0, 0), (0, 0), (0, 3)]

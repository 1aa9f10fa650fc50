"""What the runner promises, with the fake executor and with real processes alike."""

import json

import pytest
from sqlalchemy import insert, select
from tests.jobs_kit import Site, local_executor

from bastide.jobs import records, runner
from bastide.jobs.capacity import Capacity
from bastide.jobs.fake import Act, FakeExecutor
from bastide.jobs.model import Status
from bastide.jobs.records import uids
from bastide.kernel.errors import ServiceError, Unavailable

# The same programs twice: as shell scripts, and as what the fake does.
SCRIPTS = {
    "works": ("echo one; echo two", Act(prints=("one", "two"))),
    "fails": ("echo no >&2; exit 3", Act(prints=("no",), code=3, stderr_tail="no\n")),
    "lasts": ("echo up; exec sleep 600", Act(prints=("up",), lasts=True)),
    "dies": ("exit 7", Act(code=7)),
}


@pytest.fixture(params=["fake", "local"])
def site(request, tmp_path):
    if request.param == "fake":
        executor = FakeExecutor(acts={name: act for name, (_, act) in SCRIPTS.items()})
    else:
        executor = local_executor(tmp_path)
    made = Site(tmp_path, executor, total=Capacity(4.0, 4 << 30))
    made.kind_of_executor = request.param
    yield made
    made.end()


def submit(site, program, **options):
    if site.kind_of_executor == "fake":
        return site.submit(program, **options)
    return site.submit("sh", "-c", SCRIPTS[program][0], **options)


def test_it_runs_and_tells(site):
    job_id = submit(site, "works")
    job = site.wait(job_id)
    assert job.status is Status.COMPLETED
    assert site.kind.lines == ["one", "two"]
    assert site.kind.collected == [job_id]
    assert [each.status for each in site.runner.history(job_id)] == [
        Status.PENDING, Status.STAGING, Status.RUNNING, Status.COLLECTING, Status.COMPLETED,
    ]  # fmt: skip


def test_a_failure_has_its_reason(site):
    job = site.wait(submit(site, "fails"))
    assert job.status is Status.FAILED
    assert job.failure == "code 3  no\n"


def test_what_cannot_be_prepared_fails(site):
    job = site.wait(submit(site, "works", unpreparable=True))
    assert (job.status, job.failure) == (Status.FAILED, "it cannot be prepared")


def test_a_name_is_taken_once(site):
    submit(site, "works")
    with pytest.raises(ServiceError) as caught:
        submit(site, "works")
    assert caught.value.code == "ResourceInUse"


def test_what_is_written_beside_a_job_is_there_with_it_or_not_at_all(site):
    def note(connection, text):
        connection.execute(insert(uids).values(account=text, position=len(text)))

    def refuse(connection):
        note(connection, "refused")
        raise ServiceError("LimitExceeded", "no")

    with pytest.raises(ServiceError, match="no"):
        submit(site, "works", beside=refuse)
    submit(site, "works", beside=lambda c: note(c, "first"))
    with pytest.raises(ServiceError, match="already exists"):
        submit(site, "works", beside=lambda c: note(c, "second"))
    written = site.database.read(lambda c: {row.account for row in c.execute(select(uids))})
    assert written & {"refused", "first", "second"} == {"first"}


@pytest.mark.parametrize("error", [RuntimeError("a bug"), Unavailable("the disk")])
def test_what_cannot_be_told_to_the_machine_is_tried_again(site, monkeypatch, error):
    """Else the job would keep its place for ever."""
    failures, advance = [], records.advance

    def fails_twice(connection, job_id, events, now, done=None):
        if done is not None and events and len(failures) < 2:
            failures.append(job_id)
            raise error
        return advance(connection, job_id, events, now, done)

    monkeypatch.setattr(records, "advance", fails_twice)
    monkeypatch.setattr(runner, "RETRY_FIRST_MS", 1)
    assert site.wait(submit(site, "works")).status is Status.COMPLETED
    assert len(failures) == 2


def test_stop(site):
    job_id = submit(site, "lasts")
    site.kind.wait_line("up")
    site.runner.stop(job_id)
    assert site.wait(job_id).status is Status.STOPPED
    assert site.kind.collected == [job_id]


def test_a_service_is_ready_dies_and_comes_back(site):
    job_id = submit(site, "lasts", service=True, replicas=2)
    job = site.wait(job_id, Status.READY)
    assert len(site.runner.sockets(job_id)) == 2
    attempt = site.runner._folders.attempt(job, 0, job.replicas[0].attempt)
    site.executor.terminate(attempt)
    site.wait(job_id, Status.RUNNING)
    job = site.wait(job_id, Status.READY)
    assert job.replicas[0].attempt > 1
    site.runner.forget(job_id)
    site.wait_gone(job_id)


def test_a_service_that_dies_at_once_fails(site):
    site.kind.answering = False
    job = site.wait(submit(site, "dies", service=True))
    assert job.status is Status.FAILED
    assert job.failure.startswith("code 7")


def test_jobs_wait_for_room(site):
    first = submit(site, "lasts", name="first", limits={"cpus": 4.0})
    site.kind.wait_line("up")
    second = submit(site, "works", name="second", limits={"cpus": 1.0})
    assert site.runner.find(second).status is Status.PENDING
    site.runner.stop(first)
    assert site.wait(second).status is Status.COMPLETED


def test_a_job_that_never_fits_is_refused(site):
    job = site.wait(submit(site, "works", limits={"cpus": 5.0}))
    assert job.status is Status.FAILED
    assert job.failure.startswith("CapacityError")


def test_a_restart_loses_nothing(site):
    lasting = submit(site, "lasts", name="lasting")
    site.kind.wait_line("up")
    site.restart()
    assert site.runner.find(lasting).status is Status.RUNNING
    site.runner.stop(lasting)
    assert site.wait(lasting).status is Status.STOPPED
    assert json.dumps(site.kind.lines).count('"up"') >= 1

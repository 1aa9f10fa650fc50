"""The life of a job: a table of the plain cases, and what no sequence of events may do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bastide.jobs import machine as m
from bastide.jobs.model import FINISHED, Exit, JobSpec, ReplicaStatus, Status, StopCause

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def spec(**changes):
    return replace(JobSpec(id="training/1/x", kind="training", account="1"), **changes)


def run(job_spec, *events):
    job, effects = m.submitted(job_spec, NOW)
    for event in events:
        job, more = m.step(job, event, NOW)
        effects += more
    return job, effects


def ended(code=0, replica=0, attempt=1, cause="", reason=""):
    return m.ReplicaExited(replica, attempt, Exit(replica=replica, code=code, cause=cause), reason)


START = (m.Admitted(), m.Prepared(), m.Launched(0, 1))


def test_a_job_that_works():
    job, effects = run(spec(), *START, ended(), m.Collected())
    assert job.status is Status.COMPLETED
    assert [type(each).__name__ for each in effects if not isinstance(each, m.Notify)] == [
        "Admit", "Prepare", "Start", "Collect", "Sweep",
    ]  # fmt: skip


def test_a_bad_exit_fails_with_the_kinds_reason():
    job, _ = run(spec(), *START, ended(3), m.Collected("AlgorithmError: no"))
    assert (job.status, job.failure) == (Status.FAILED, "AlgorithmError: no")


def test_one_bad_replica_ends_the_gang():
    job, effects = run(spec(replicas=2), *START, m.Launched(1, 1), ended(1))
    assert job.status is Status.STOPPING
    assert m.Terminate(1, 1) in effects
    job, _ = m.step(job, ended(143, replica=1), NOW)
    assert job.status is Status.COLLECTING
    assert m.step(job, m.Collected("x"), NOW)[0].status is Status.FAILED


def test_stop_while_running():
    job, effects = run(spec(), *START, m.StopRequested())
    assert job.status is Status.STOPPING
    assert m.Terminate(0, 1) in effects
    job, _ = m.step(job, ended(143), NOW)
    job, _ = m.step(job, m.Collected(), NOW)
    assert (job.status, job.stop_cause) == (Status.STOPPED, StopCause.USER)


def test_stop_before_anything_ran():
    assert run(spec(), m.StopRequested())[0].status is Status.STOPPED
    assert run(spec(), m.Admitted(), m.StopRequested())[0].status is Status.STOPPING
    job, effects = run(spec(), m.Admitted(), m.StopRequested(), m.Prepared())
    assert job.status is Status.STOPPED
    assert not [each for each in effects if isinstance(each, m.Start)]


def test_the_wall_clock_stops_a_job():
    job, _ = run(spec(), *START, ended(143, cause="max_runtime"), m.Collected())
    assert (job.status, job.stop_cause) == (Status.STOPPED, StopCause.MAX_RUNTIME)


def test_prepare_and_collect_failures_are_told():
    assert run(spec(), m.Admitted(), m.PrepareFailed("no object"))[0].failure == "no object"
    job, _ = run(spec(), *START, ended(), m.CollectFailed("no bucket"))
    assert (job.status, job.failure) == (Status.FAILED, "no bucket")


def test_a_service_gets_ready_and_comes_back():
    service = spec(service=True)
    job, _ = run(service, *START, m.ProbeUp(0, 1))
    assert job.status is Status.READY
    job, effects = m.step(job, ended(1), NOW)
    assert job.status is Status.RUNNING
    assert m.Start(0, 2, 0.5) in effects
    for attempt in range(2, 40):  # for ever, with a capped back-off
        job, effects = m.step(job, ended(1, attempt=attempt), NOW)
        [start] = [each for each in effects if isinstance(each, m.Start)]
        assert start.delay_s <= m.BACKOFF_MAX_S
    assert job.status is Status.RUNNING


def test_a_service_that_never_was_ready_fails():
    job, effects = run(spec(service=True), *START)
    for attempt in range(1, m.STARTS_MAX + 1):
        job, effects = m.step(job, ended(1, attempt=attempt, reason=f"boom {attempt}"), NOW)
    assert (job.status, job.failure) == (Status.FAILED, f"boom {m.STARTS_MAX}")
    assert not [each for each in effects if isinstance(each, m.Start)]


def test_a_service_that_never_answers_fails():
    job, effects = run(spec(service=True), *START, m.NeverUp(0, 1, "no ping"))
    assert job.status is Status.STOPPING
    assert m.Terminate(0, 1) in effects
    assert m.step(job, ended(143), NOW)[0].failure == "no ping"


def test_a_forgotten_job_is_swept_with_its_row():
    job, effects = run(spec(), *START, ended(), m.Collected(), m.StopRequested(forget=True))
    assert effects[-1] == m.Sweep(forget=True)
    assert job.status is Status.COMPLETED


SMALL = st.integers(0, 3)
EVENTS = st.one_of(
    st.sampled_from(
        [
            m.Admitted(),
            m.AdmitRefused("r"),
            m.Prepared(),
            m.PrepareFailed("p"),
            m.Collected(),
            m.Collected("why"),
            m.CollectFailed("c"),
            m.StopRequested(),
            m.StopRequested(forget=True),
        ]
    ),
    st.builds(m.Launched, SMALL, SMALL),
    st.builds(m.LaunchGivenUp, SMALL, SMALL),
    st.builds(m.ProbeUp, SMALL, SMALL),
    st.builds(m.ProbeDown, SMALL, SMALL),
    st.builds(m.NeverUp, SMALL, SMALL, st.just("never")),
    st.builds(
        lambda replica, attempt, code, cause: ended(code, replica, attempt, cause),
        SMALL,
        SMALL,
        SMALL,
        st.sampled_from(["", "max_runtime", "lost", "memory"]),
    ),
)
SPECS = st.builds(spec, replicas=st.integers(1, 3), service=st.booleans())


@given(SPECS, st.lists(EVENTS, max_size=40))
def test_no_sequence_of_events_breaks_a_job(job_spec, events):
    job, _ = m.submitted(job_spec, NOW)
    stopped = False
    for number, event in enumerate(events):
        before = job
        job, effects = m.step(job, event, NOW + timedelta(seconds=number))
        starts = [each for each in effects if isinstance(each, m.Start)]
        if before.status in FINISHED:
            assert (job.status, job.ended, job.exits) == (
                before.status, before.ended, before.exits,
            )  # fmt: skip
            assert all(isinstance(each, m.Sweep) for each in effects)
        assert not (stopped and starts), "a stopped job never runs again"
        stopped = stopped or isinstance(event, m.StopRequested)
        assert job.rev == before.rev + (job != before)
        assert (job.status in FINISHED) == (job.ended is not None)
        assert job.attempt >= before.attempt
        for start in starts:
            assert job.replicas[start.replica].attempt == start.attempt
            assert job.replicas[start.replica].status is ReplicaStatus.WAITING
        if job.status is Status.READY:
            assert all(each.status is ReplicaStatus.UP for each in job.replicas)


@given(SPECS, st.lists(EVENTS, max_size=25), EVENTS)
def test_news_of_old_attempts_change_nothing(job_spec, events, event):
    job, _ = run(job_spec, *events)
    if hasattr(event, "attempt") and hasattr(event, "replica"):
        known = {(each.index, each.attempt) for each in job.replicas}
        if (event.replica, event.attempt) not in known:
            assert m.step(job, event, NOW) == (job, [])


@given(SPECS, st.lists(EVENTS, max_size=25), EVENTS)
def test_telling_the_same_twice_is_harmless(job_spec, events, event):
    """After a crash an effect is carried out again, and its news come again."""
    job, _ = run(job_spec, *events)
    once, _ = m.step(job, event, NOW)
    twice, effects = m.step(once, event, NOW)
    assert twice == once
    assert all(isinstance(each, m.Terminate) for each in effects)

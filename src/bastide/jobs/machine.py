"""The life of a job as one pure function: `step(job, event, now) -> (job, effects)`.

Effects are data; the runner carries them out at least once and reports back with events. News of
an attempt that was given up on, and any news of a finished job, changes nothing.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from bastide.jobs.model import (
    FINISHED,
    INTERNAL,
    LOST,
    Exit,
    Job,
    JobSpec,
    Replica,
    ReplicaStatus,
    Status,
    StopCause,
)

START_FAILED_CODE = 125
STARTS_MAX = 4  # launches of a replica of a service that was never ready
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0


# Events ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Admitted:
    """There is room on the machine for every replica."""


@dataclass(frozen=True, slots=True)
class AdmitRefused:
    """The machine could never hold this job."""

    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """The job's folder is filled."""


@dataclass(frozen=True, slots=True)
class PrepareFailed:
    """The job's kind could not fill the folder."""

    reason: str


@dataclass(frozen=True, slots=True)
class Launched:
    """A shim was started for this attempt."""

    replica: int
    attempt: int


@dataclass(frozen=True, slots=True)
class LaunchGivenUp:
    """A launch failed again and again. It may have begun all the same."""

    replica: int
    attempt: int


@dataclass(frozen=True, slots=True)
class ReplicaExited:
    """An attempt ended, or was lost (`exit.cause`). `reason` is the kind's words for it."""

    replica: int
    attempt: int
    exit: Exit
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ProbeUp:
    """A service's replica answers."""

    replica: int
    attempt: int


@dataclass(frozen=True, slots=True)
class ProbeDown:
    """A service's replica that answered no longer does."""

    replica: int
    attempt: int


@dataclass(frozen=True, slots=True)
class NeverUp:
    """A service's replica runs but did not answer in time."""

    replica: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody, or the clock, wants the job to end; `forget` also wants it deleted."""

    cause: StopCause = StopCause.USER
    forget: bool = False


@dataclass(frozen=True, slots=True)
class Collected:
    """The outputs are home. `reason` is the kind's FailureReason when exits were bad."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class CollectFailed:
    """The outputs could not be taken home."""

    reason: str


Event = (
    Admitted
    | AdmitRefused
    | Prepared
    | PrepareFailed
    | Launched
    | LaunchGivenUp
    | ReplicaExited
    | ProbeUp
    | ProbeDown
    | NeverUp
    | StopRequested
    | Collected
    | CollectFailed
)


# Effects -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Admit:
    """Wait for room, then say Admitted."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Have the kind fill the folder."""


@dataclass(frozen=True, slots=True)
class Start:
    """Launch a replica's attempt, not before `delay_s` have passed."""

    replica: int
    attempt: int
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Terminate:
    """SIGTERM, the grace, SIGKILL."""

    replica: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Collect:
    """Have the kind take the outputs home."""


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell the listeners."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Delete the folder of an ended job; with `forget` the job too."""

    forget: bool = False


Effect = Admit | Prepare | Start | Terminate | Collect | Notify | Sweep
Step = tuple[Job, list[Effect]]


def submitted(spec: JobSpec, now: datetime) -> Step:
    """A new job and its first effects."""
    replicas = tuple(Replica(index=index, attempt=1) for index in range(spec.replicas))
    job = Job(
        spec=spec, status=Status.PENDING, created=now, changed=now, attempt=1, replicas=replicas
    )
    return job, [Notify(), Admit()]


def step(job: Job, event: Event, now: datetime) -> Step:
    """What `event` makes of `job`. The same job comes back when nothing changes."""
    changed, effects = _react(job, event, now)
    if changed == job:
        return job, effects
    if changed.status is not job.status:
        effects = [Notify(), *effects]
    return replace(changed, rev=job.rev + 1, changed=now), effects


def backoff_s(restarts: int) -> float:
    """0.5, 1, 2 … 30 seconds."""
    return float(min(BACKOFF_FIRST_S * 2 ** min(restarts, 16), BACKOFF_MAX_S))


def _react(job: Job, event: Event, now: datetime) -> Step:
    if job.status in FINISHED:
        return _finished(job, event)
    match event:
        case StopRequested():
            return _stop(job, event, now)
        case Launched() | LaunchGivenUp() | ReplicaExited() | ProbeUp() | ProbeDown() | NeverUp():
            return _replica_news(job, event, now)
        case _:
            return _stage(job, event, now)


def _finished(job: Job, event: Event) -> Step:
    """Only being forgotten can still happen to it."""
    if isinstance(event, StopRequested) and event.forget and not job.forgotten:
        return replace(job, forgotten=True), [Sweep(forget=True)]
    return job, []


def _stage(job: Job, event: Event, now: datetime) -> Step:
    """The steps of a job as a whole; after a crash each may be said twice."""
    match job.status, event:
        case Status.PENDING, Admitted():
            return replace(job, status=Status.STAGING), [Prepare()]
        case Status.PENDING, AdmitRefused(reason=reason):
            return _end(job, Status.FAILED, now, reason)
        case Status.STAGING, Prepared():
            starts: list[Effect] = [Start(each.index, each.attempt) for each in job.replicas]
            return replace(job, status=Status.RUNNING, started=now), starts
        case Status.STAGING, PrepareFailed(reason=reason):
            return _end(job, Status.FAILED, now, reason)
        case Status.STOPPING, Prepared() | PrepareFailed() if job.started is None:
            return _end(job, Status.STOPPED, now)
        case Status.COLLECTING, Collected(reason=reason):
            return _end(job, _verdict(job), now, reason)
        case Status.COLLECTING, CollectFailed(reason=reason):
            return _end(job, Status.FAILED, now, reason)
    return job, []


def _stop(job: Job, event: StopRequested, now: datetime) -> Step:
    job = replace(job, forgotten=job.forgotten or event.forget)
    if job.status in {Status.STOPPING, Status.COLLECTING}:
        return job, []
    job = replace(job, stop_cause=event.cause)
    if job.status is Status.PENDING:
        return _end(job, Status.STOPPED, now)
    return _terminate(job)


def _terminate(job: Job) -> Step:
    """An attempt that waits may be launched at this very moment, so it is terminated too: the
    executor reports an exit for one that never began. Staging ends by itself."""
    effects: list[Effect] = []
    if job.status is not Status.STAGING:
        effects = [Terminate(each.index, each.attempt) for each in _left(job)]
    return replace(job, status=Status.STOPPING), effects


def _replica_news(
    job: Job,
    event: Launched | LaunchGivenUp | ReplicaExited | ProbeUp | ProbeDown | NeverUp,
    now: datetime,
) -> Step:
    replica = _current(job, event.replica, event.attempt)
    if replica is None or replica.status is ReplicaStatus.EXITED or job.started is None:
        return job, []
    match event:
        case Launched() if replica.status is ReplicaStatus.WAITING:
            return _with(job, replace(replica, status=ReplicaStatus.RUNNING)), []
        case LaunchGivenUp():
            given_up = replace(replica, given_up=True)
            return _with(job, given_up), [Terminate(replica.index, replica.attempt)]
        case ProbeUp() if job.spec.service:
            return _settled(_with(job, replace(replica, status=ReplicaStatus.UP, restarts=0))), []
        case ProbeDown() if replica.status is ReplicaStatus.UP:
            return _settled(_with(job, replace(replica, status=ReplicaStatus.RUNNING))), []
        case NeverUp(reason=reason) if job.status is Status.RUNNING:
            return _never_up(job, replica, reason)
        case ReplicaExited():
            return _exited(job, replica, event, now)
    return job, []


def _never_up(job: Job, replica: Replica, reason: str) -> Step:
    """One that was ready before gets another attempt; else the service has failed."""
    if job.ever_ready:
        return job, [Terminate(replica.index, replica.attempt)]
    return _terminate(replace(job, failure=reason))


def _current(job: Job, index: int, attempt: int) -> Replica | None:
    """The replica, if `attempt` is the one that it is at."""
    if not 0 <= index < len(job.replicas) or job.replicas[index].attempt != attempt:
        return None
    return job.replicas[index]


def _settled(job: Job) -> Job:
    """READY exactly when every replica is up, unless it is being stopped."""
    if job.status not in {Status.RUNNING, Status.READY}:
        return job
    ready = all(each.status is ReplicaStatus.UP for each in job.replicas)
    status = Status.READY if ready else Status.RUNNING
    return replace(job, status=status, ever_ready=job.ever_ready or ready)


def _exited(job: Job, replica: Replica, event: ReplicaExited, now: datetime) -> Step:
    if replica.given_up:  # it was ended: how it took that, with 0 too, says nothing of its program
        lost = replace(event.exit, code=event.exit.code or START_FAILED_CODE, cause=LOST)
        event = replace(event, exit=lost, reason=INTERNAL)
    exits = {each.replica: each for each in job.exits} | {event.replica: event.exit}
    ended = replace(replica, status=ReplicaStatus.EXITED)
    job = replace(_with(job, ended), exits=tuple(exits[index] for index in sorted(exits)))
    if job.status is Status.STOPPING:
        return _all_down(job, now)
    if job.spec.service:
        return _restarted(job, ended, event, now)
    if event.exit.cause == "max_runtime":
        job = replace(job, stop_cause=StopCause.MAX_RUNTIME)
    if event.exit.code != 0 and _left(job):
        return _terminate(job)  # the others of a gang cannot go on without it
    return _all_down(job, now)


def _restarted(job: Job, replica: Replica, event: ReplicaExited, now: datetime) -> Step:
    if not job.ever_ready and replica.restarts + 1 >= STARTS_MAX:
        reason = event.reason or f"exit code {event.exit.code}"
        job, effects = _terminate(replace(job, failure=reason))
        return (job, effects) if effects else _all_down(job, now)
    again = replace(
        replica,
        attempt=job.attempt + 1,
        status=ReplicaStatus.WAITING,
        restarts=replica.restarts + 1,
        given_up=False,
    )
    job = _settled(_with(replace(job, attempt=again.attempt), again))
    return job, [Start(again.index, again.attempt, backoff_s(replica.restarts))]


def _all_down(job: Job, now: datetime) -> Step:
    """After an exit: wait for the others, or go on to the end."""
    if _left(job):
        return job, []
    if not job.spec.service:
        return replace(job, status=Status.COLLECTING), [Collect()]
    return _end(job, Status.FAILED if job.failure else Status.STOPPED, now, job.failure)


def _left(job: Job) -> list[Replica]:
    return [each for each in job.replicas if each.status is not ReplicaStatus.EXITED]


def _verdict(job: Job) -> Status:
    if job.stop_cause:
        return Status.STOPPED
    return Status.FAILED if any(each.code != 0 for each in job.exits) else Status.COMPLETED


def _end(job: Job, status: Status, now: datetime, reason: str = "") -> Step:
    failure = reason if status is Status.FAILED else ""
    ended = replace(job, status=status, ended=now, failure=failure)
    return ended, [Sweep(forget=job.forgotten)]


def _with(job: Job, replica: Replica) -> Job:
    before, after = job.replicas[: replica.index], job.replicas[replica.index + 1 :]
    return replace(job, replicas=(*before, replica, *after))

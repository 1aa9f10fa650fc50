"""Carries out one effect and says which events came of it. Every method may run again after a
crash, and then changes nothing that was done before."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bastide.jobs.executor import Executor
from bastide.jobs.folders import Folders, remove
from bastide.jobs.machine import (
    Collect,
    Collected,
    CollectFailed,
    Effect,
    Event,
    Launched,
    LaunchGivenUp,
    Notify,
    Prepare,
    Prepared,
    PrepareFailed,
    Start,
    Sweep,
    Terminate,
)
from bastide.jobs.model import FINISHED, INTERNAL, Job, ReplicaStatus, Status
from bastide.jobs.ports import JobFailed, Kind, Listener, reason_of
from bastide.kernel.errors import ServiceError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Does, and never decides."""

    executor: Executor
    folders: Folders
    kind_of: Callable[[str], Kind]
    listeners_of: Callable[[str], Sequence[Listener]]

    def carry_out(self, effect: Effect, job: Job) -> list[Event]:
        """Raises when it is worth another try."""
        match effect:
            case Prepare():
                return [self._prepare(job)]
            case Start():
                return self._start(job, effect)
            case Terminate(replica=replica, attempt=attempt):
                if job.status not in FINISHED:  # else there is nothing left, not even its folder
                    self.executor.terminate(self.folders.attempt(job, replica, attempt))
            case Collect():
                return [self._collect(job)]
            case Notify():
                for listener in self.listeners_of(job.spec.kind):
                    listener(job)
            case Sweep():
                self._sweep(job)
        return []

    def gave_up(self, effect: Effect, job: Job) -> list[Event]:
        """What it means for the job that an effect failed again and again. What nobody else would
        do, the job's end and its sweep, is never given up; nor is its admission, by the runner."""
        match effect:
            case Prepare():
                return [PrepareFailed(INTERNAL)]
            case Collect():
                return [CollectFailed(INTERNAL)]
            case Start():
                return [LaunchGivenUp(effect.replica, effect.attempt)]
            case Terminate() | Sweep():
                return self.carry_out(effect, job)
        return []

    def _prepare(self, job: Job) -> Event:
        if job.status is not Status.STAGING:
            return PrepareFailed("stopped")
        job_id = job.spec.id
        if self.folders.launches(job_id) is not None:
            return Prepared()
        work = self.folders.work(job_id)
        work.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            launches = self.kind_of(job.spec.kind).prepare(job, work)
        except JobFailed as error:
            return PrepareFailed(str(error))
        except ServiceError as error:
            return PrepareFailed(f"{error.code}: {error.message}")
        assert len(launches) == job.spec.replicas, "one launch for each replica"
        self.folders.save_launches(job_id, launches)
        return Prepared()

    def _start(self, job: Job, effect: Start) -> list[Event]:
        replica = job.replicas[effect.replica]
        current = replica.attempt == effect.attempt and replica.status is ReplicaStatus.WAITING
        if not current or job.status not in {Status.RUNNING, Status.READY}:
            return []
        launches = self.folders.launches(job.spec.id)
        assert launches is not None, "started before it was prepared"
        attempt = self.folders.attempt(job, effect.replica, effect.attempt)
        self.executor.launch(attempt, launches[effect.replica], job.spec.limits)
        return [Launched(effect.replica, effect.attempt)]

    def _collect(self, job: Job) -> Event:
        kind = self.kind_of(job.spec.kind)
        try:
            kind.collect(job, self.folders.work(job.spec.id))
        except JobFailed as error:
            return CollectFailed(self._reason(job) or str(error))
        except ServiceError as error:
            return CollectFailed(self._reason(job) or f"{error.code}: {error.message}")
        return Collected(self._reason(job))

    def _reason(self, job: Job) -> str:
        if all(each.code == 0 for each in job.exits):
            return ""
        return reason_of(self.kind_of(job.spec.kind), job, job.exits)

    def _sweep(self, job: Job) -> None:
        for replica in job.replicas:
            remove(self.folders.sockets(job.spec.id, replica.index))
        remove(self.folders.of(job.spec.id))

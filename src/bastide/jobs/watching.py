"""One live attempt, as the runner follows it: what it printed, whether it answers, how it ends."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.jobs import records
from bastide.jobs.executor import Attempt, Executor, Report
from bastide.jobs.machine import Event, NeverUp, ProbeDown, ProbeUp, ReplicaExited
from bastide.jobs.model import Exit, Job
from bastide.jobs.outlog import Reader
from bastide.jobs.ports import Kind, reason_of
from bastide.kernel.errors import Unavailable

logger = logging.getLogger(__name__)

PROBE_FIRST_S = 0.1  # until it is up: an endpoint is InService as soon as it can be
PROBE_S = 5.0
PROBE_MISSES_MAX = 3
READS_MAX = 64  # log reads of one observation; the next one goes on
LOG_TRIES_MAX = 3


@dataclass(slots=True)
class Watch:
    """What the runner remembers of a live attempt. Only one observation at a time touches it, but
    for `up`: that is what the machine was told, and says."""

    job_id: str
    account: str
    replica: int
    number: int
    attempt: Attempt
    service: bool
    up: bool
    busy: bool = False
    poked: bool = False
    looked_s: float = 0.0
    begun_s: float | None = None
    probe_at_s: float = 0.0
    misses: int = 0
    reader: Reader | None = None
    log_failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Looks at attempts; says what it saw as events."""

    database: Database
    executor: Executor
    kind_of: Callable[[str], Kind]

    def look(self, watch: Watch, job: Job, now_s: float) -> list[Event]:
        report = self.executor.report(watch.attempt)
        if not report.begun and report.exit is None:
            return []
        if watch.begun_s is None:
            watch.begun_s = now_s
        all_told = self._tell_lines(watch, job)
        if report.exit is not None:
            if not all_told:
                watch.poked = True  # its last lines first
                return []
            return [self._exited(watch, job, report.exit)]
        return self._probe(watch, job, report, now_s) if watch.service else []

    def _exited(self, watch: Watch, job: Job, ended: Exit) -> Event:
        reason = self._words(job, [ended]) if ended.code != 0 or ended.cause else ""
        return ReplicaExited(watch.replica, watch.number, ended, reason)

    def _words(self, job: Job, exits: Sequence[Exit]) -> str:
        try:
            return reason_of(self.kind_of(job.spec.kind), job, exits)
        except Exception:  # the edge: a kind's mistake must not keep a job from ending
            logger.exception("no failure reason for %s", job.spec.id)
            return ""

    def _tell_lines(self, watch: Watch, job: Job) -> bool:
        """Hand new lines to the kind; True when there are none left."""
        reader = watch.reader = watch.reader or self._reader(watch)
        for _ in range(READS_MAX):
            lines = reader.read()
            if not lines:
                return True
            if not self._tell(watch, job, lines, reader.position):
                watch.reader = None  # the database knows how far it came
                return watch.log_failures > LOG_TRIES_MAX
        watch.poked = True
        return False

    def _reader(self, watch: Watch) -> Reader:
        def told(connection: Connection) -> tuple[int, int]:
            return records.lines_told(connection, watch.job_id, watch.replica, watch.number)

        return Reader(str(watch.attempt.folder), self.database.read(told))

    def _tell(
        self, watch: Watch, job: Job, lines: Sequence[tuple[int, str]], upto: tuple[int, int]
    ) -> bool:
        def beside(connection: Connection) -> None:
            records.tell_lines(connection, watch.job_id, watch.replica, watch.number, upto)

        try:
            self.kind_of(job.spec.kind).logged(job, watch.replica, lines, beside)
        except Exception as error:  # the edge: lines are told again, and given up if it is a bug
            logger.exception("lines of %s were not taken", watch.job_id)
            watch.log_failures += not isinstance(error, Unavailable)
            return False
        watch.log_failures = 0
        return True

    def _probe(self, watch: Watch, job: Job, report: Report, now_s: float) -> list[Event]:
        if now_s < watch.probe_at_s:
            return []
        answers = self._answers(watch, job)
        watch.probe_at_s = now_s + (PROBE_S if watch.up or answers else PROBE_FIRST_S)
        watch.misses = 0 if answers else watch.misses + 1
        if answers and not watch.up:
            return [ProbeUp(watch.replica, watch.number)]
        if watch.up and watch.misses >= PROBE_MISSES_MAX:
            watch.begun_s = now_s
            return [ProbeDown(watch.replica, watch.number)]
        if not watch.up and now_s - (watch.begun_s or now_s) > job.spec.ready_timeout_s:
            watch.begun_s = now_s
            reason = f"It did not answer its health check in {job.spec.ready_timeout_s} s."
            said = f"{self._words(job, [])} {reason}".lstrip()
            return [NeverUp(watch.replica, watch.number, said)]
        return []

    def _answers(self, watch: Watch, job: Job) -> bool:
        sockets = watch.attempt.sockets
        if sockets is None:
            return False
        try:
            socket = sockets / "http.sock"
            return self.kind_of(job.spec.kind).probe(job, watch.replica, socket)
        except Exception:  # the edge: a probe that breaks is a probe that failed
            logger.debug("the probe of %s broke", watch.job_id, exc_info=True)
            return False

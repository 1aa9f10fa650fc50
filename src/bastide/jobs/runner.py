"""Carries out the machine's effects and feeds it what happens. It decides nothing itself.

Effects are taken from a durable outbox and carried out at least once; attempts are watched
through the executor. After a crash the outbox and the attempts' own state files say it all.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.jobs import capacity, records
from bastide.jobs.admission import Admission
from bastide.jobs.capacity import Capacity, Ledger
from bastide.jobs.executor import Executor
from bastide.jobs.folders import Folders
from bastide.jobs.hands import Hands
from bastide.jobs.lanes import Lanes
from bastide.jobs.machine import Admit, Event, StopRequested, Sweep
from bastide.jobs.model import (
    FINISHED,
    Job,
    JobSpec,
    ReplicaStatus,
    Status,
    Transition,
)
from bastide.jobs.ports import Beside, Kind, Listener
from bastide.jobs.records import Pending
from bastide.jobs.watching import Observer, Watch
from bastide.jobs.workers import Workers
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")

WORKERS = 16
TRIES_MAX = 5
RETRY_FIRST_MS = 200
SCAN_S = 1.0  # pokes get lost: every live attempt is looked at this often anyway
PROBE_SCAN_S = 0.1
CHATTER_S = 0.25  # a service that prints a line for each call is not looked at for each of them
STRIPES = 64
CLOSE_S = 5.0


class Runner:
    """Implements ports.Jobs. `root` is the runner's own folder; register kinds before `start`."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        executor: Executor,
        root: Path,
        total: Capacity | None = None,
        workers: Workers | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._executor = executor
        self._folders = Folders(root)
        self._ledger = Ledger(total or capacity.of_host())
        self._admission = Admission(self._ledger)
        self._kinds: dict[str, Kind] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._hands = Hands(
            executor=executor,
            folders=self._folders,
            kind_of=self._kinds.__getitem__,
            listeners_of=lambda kind: tuple(self._listeners.get(kind, ())),
        )
        self._observer = Observer(
            database=database, executor=executor, kind_of=self._kinds.__getitem__
        )
        self._lanes = Lanes()
        self._tries: dict[int, int] = {}
        self._stripes = [threading.Lock() for _ in range(STRIPES)]
        self._lock = threading.Lock()  # of the four below
        self._jobs: dict[str, Job] = {}  # the unfinished ones
        self._watches: dict[str, Watch] = {}
        self._poked: set[str] = set()
        self._closing = False
        self._wake = threading.Event()
        self._unsure = threading.Event()  # a write failed: what is known may be out of date
        self._scan_at_s = 0.0
        self._workers = workers or Workers(WORKERS, "jobs")
        self._loop = threading.Thread(target=self._run, name="jobs-loop", daemon=True)

    # Life ----------------------------------------------------------------------------------------
    def register(self, name: str, kind: Kind) -> None:
        """Have `kind` prepare and collect the jobs whose spec names it."""
        self._kinds[name] = kind

    def start(self) -> None:
        """Take up where the last process stopped, then work."""
        self.recover()
        self._workers.start()
        self._loop.start()

    def recover(self) -> None:
        """Take up what the database says is unfinished, or still to be done."""
        self._executor.on_news(self._poke)
        self._catch_up()

    def close(self) -> None:
        """Stop working; the jobs' processes go on."""
        self._closing = True
        self._wake.set()
        self._executor.close()
        if self._loop.ident is not None:
            self._loop.join(CLOSE_S)
            self._workers.close(CLOSE_S)

    # ports.Jobs ----------------------------------------------------------------------------------
    def submit(self, spec: JobSpec, beside: Beside | None = None) -> Job:
        if spec.kind not in self._kinds:
            raise KeyError(spec.kind)
        now = self._clock.now()

        def add(connection: Connection) -> tuple[Job, list[Pending]]:
            if beside is not None:
                beside(connection)
            added = records.add(connection, spec, now)
            if added is None:
                raise ServiceError("ResourceInUse", f"The job {spec.id} already exists.")
            return added

        with self._stripe(spec.id):
            job, pending = self._write(add)
            self._remember(job)
            self._lanes.add(pending)
        self._wake.set()
        return job

    def find(self, job_id: str) -> Job | None:
        return self._database.read(lambda c: records.find(c, job_id))

    def history(self, job_id: str) -> Sequence[Transition]:
        return self._database.read(lambda c: records.history(c, job_id))

    def stop(self, job_id: str) -> None:
        self._apply(job_id, [StopRequested()])

    def forget(self, job_id: str) -> None:
        self._apply(job_id, [StopRequested(forget=True)])

    def sockets(self, job_id: str) -> Sequence[Path]:
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None or job.status not in {Status.RUNNING, Status.READY}:
            return []
        return [
            self._folders.sockets(job_id, replica.index) / "http.sock"
            for replica in job.replicas
            if replica.status is ReplicaStatus.UP
        ]

    def work(self, job_id: str) -> Path:
        return self._folders.work(job_id)

    def running(self, kind: str) -> Sequence[tuple[Job, Path]]:
        with self._lock:
            jobs = list(self._jobs.values())
        return [
            (job, self._folders.work(job.spec.id))
            for job in jobs
            if job.spec.kind == kind and job.status is Status.RUNNING
        ]

    def watch(self, kind: str, listener: Listener) -> None:
        self._listeners.setdefault(kind, []).append(listener)

    # What happened -------------------------------------------------------------------------------
    def _apply(self, job_id: str, events: list[Event], done: Pending | None = None) -> None:
        with self._stripe(job_id):
            now = self._clock.now()
            struck = None if done is None else done.id
            advanced = self._write(lambda c: records.advance(c, job_id, events, now, struck))
            if advanced is not None:
                self._remember(advanced.after)
                self._lanes.add(advanced.pending)
        self._wake.set()

    def _write(self, work: Callable[[Connection], T]) -> T:
        """Whether a commit that failed is durable nobody can say: the loop asks the database."""
        try:
            return self._database.write(work)
        except Unavailable:
            self._unsure.set()
            raise

    def _catch_up(self) -> None:
        """Know again what the database knows. What is known already stays as it is."""
        self._unsure.clear()
        try:
            with self._lock:
                known = list(self._jobs)
            for job_id in dict.fromkeys([*self._database.read(records.open_ids), *known]):
                self._learn(job_id)
        except Unavailable:
            self._unsure.set()
            raise

    def _learn(self, job_id: str) -> None:
        with self._stripe(job_id):
            job, pending = self._database.read(
                lambda c: (records.find(c, job_id), records.outbox(c, job_id))
            )
            if job is not None:
                if job.status not in FINISHED | {Status.PENDING}:
                    self._ledger.take(job_id, capacity.demand(job), force=True)
                self._remember(job)
            self._lanes.add(pending)

    def _stripe(self, job_id: str) -> threading.Lock:
        """Commits of one job, and what we remember of them, happen in the same order."""
        return self._stripes[hash(job_id) % STRIPES]

    def _remember(self, job: Job) -> None:
        job_id = job.spec.id
        with self._lock:
            if job.status in FINISHED:
                self._jobs.pop(job_id, None)
                self._ledger.release(job_id)
            else:
                self._jobs[job_id] = job
            self._follow(job)

    def _follow(self, job: Job) -> None:
        """Watch exactly the attempts that may be alive."""
        wanted = {}
        if job.started is not None and job.status not in FINISHED:
            for replica in job.replicas:
                if replica.status is not ReplicaStatus.EXITED:
                    attempt = self._folders.attempt(job, replica.index, replica.attempt)
                    wanted[attempt.key] = (replica, attempt)
        mine = {key for key, watch in self._watches.items() if watch.job_id == job.spec.id}
        for key in mine - wanted.keys():
            del self._watches[key]
        for key, (replica, attempt) in wanted.items():
            up = replica.status is ReplicaStatus.UP
            if key in mine:
                self._watches[key].up = up
                continue
            self._watches[key] = Watch(
                job_id=job.spec.id,
                account=job.spec.account,
                replica=replica.index,
                number=replica.attempt,
                attempt=attempt,
                service=job.spec.service,
                up=up,
            )
            self._poked.add(key)

    def _poke(self, key: str) -> None:
        with self._lock:
            self._poked.add(key)
        self._wake.set()

    # The loop ------------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                self.turn()
            except Exception:  # the edge: the loop is what keeps all jobs going
                logger.exception("the loop stumbled")
            self._wake.wait(self._pause_s())

    def turn(self) -> None:
        """Once: give the workers what is due, and every attempt that is to be looked at."""
        now_s = self._clock.monotonic_s()
        everything = now_s >= self._scan_at_s
        if everything:
            self._scan_at_s = now_s + SCAN_S
            if self._unsure.is_set():  # now and then: a database that is away is not pressed
                self._catch_up()
        self._dispatch()
        self._look_around(now_s, everything=everything)

    def _pause_s(self) -> float:
        pause_s = self._scan_at_s - self._clock.monotonic_s()
        due_ms = self._lanes.next_due_ms()
        if due_ms is not None:
            pause_s = min(pause_s, (due_ms - self._now_ms()) / 1000)
        with self._lock:
            if any(watch.service and not watch.up for watch in self._watches.values()):
                pause_s = min(pause_s, PROBE_SCAN_S)
            if self._poked:
                pause_s = min(pause_s, CHATTER_S)
        return max(pause_s, 0.005)

    def _dispatch(self) -> None:
        ready = self._lanes.take(self._now_ms())
        admits = sorted((each for each in ready if _admits(each)), key=lambda each: each.id)
        for pending in ready:
            if not _admits(pending):
                self._submit(pending, partial(self._carry_out, pending))
        self._admit(admits)

    def _admit(self, admits: list[Pending]) -> None:
        for pending in admits:
            with self._lock:
                job = self._jobs.get(pending.job_id)
            events: list[Event] = []
            if job is None:
                self._admission.gone(pending.id)
            elif (answer := self._admission.room_for(job, pending.id)) is not None:
                events = [answer]
            else:
                self._lanes.again(pending, self._now_ms() + RETRY_FIRST_MS)
                continue
            self._submit(pending, lambda events=events: events)  # type: ignore[misc]  # binds it now

    def _submit(self, pending: Pending, decide: Callable[[], list[Event]]) -> None:
        self._workers.submit(pending.account, partial(self._attempt, pending, decide))

    # On the workers ------------------------------------------------------------------------------
    def _carry_out(self, pending: Pending) -> list[Event]:
        job = self.find(pending.job_id)
        return [] if job is None else self._hands.carry_out(pending.effect, job)

    def _give_up(self, pending: Pending) -> list[Event]:
        job = self.find(pending.job_id)
        return [] if job is None else self._hands.gave_up(pending.effect, job)

    def _attempt(self, pending: Pending, decide: Callable[[], list[Event]]) -> None:
        """Tell the machine what `decide` answers. What fails is tried again; what fails again and
        again is given up, unless it is the world that fails."""
        tries = self._tries.get(pending.id, 0)
        try:
            given_up = tries >= TRIES_MAX and not _admits(pending)
            self._settle(pending, self._give_up(pending) if given_up else decide())
        except Exception as error:  # the edge: anything may fail out there
            logger.exception("%s of %s failed", type(pending.effect).__name__, pending.job_id)
            self._tries[pending.id] = tries + (not isinstance(error, Unavailable))
            pause_ms = RETRY_FIRST_MS * 2 ** min(tries + 1, TRIES_MAX)
            self._lanes.again(pending, self._now_ms() + pause_ms)
            self._wake.set()
            return
        self._tries.pop(pending.id, None)

    def _settle(self, pending: Pending, events: list[Event]) -> None:
        """Tell the machine, and strike the effect off in the same transaction."""
        if isinstance(pending.effect, Sweep) and pending.effect.forget:
            self._lanes.drop(pending.job_id)
            self._write(lambda c: records.remove(c, pending.job_id))
        elif events:
            self._apply(pending.job_id, events, pending)
        else:
            self._strike(pending)
            return
        self._lanes.done(pending)
        self._wake.set()

    def _strike(self, pending: Pending) -> None:
        """Nothing depends on when this is durable: at worst the effect is carried out again."""
        self._database.submit(lambda c: records.finish(c, pending.id))
        self._lanes.done(pending)
        self._wake.set()

    def _look_around(self, now_s: float, *, everything: bool) -> None:
        with self._lock:
            poked, self._poked = self._poked, set()
            chosen = []
            for key, watch in self._watches.items():
                probes = watch.service and not watch.up and watch.begun_s is not None
                if not (everything or key in poked or watch.poked or probes):
                    continue
                if watch.up and now_s - watch.looked_s < CHATTER_S:
                    self._poked.add(key)  # soon
                    continue
                if watch.busy:
                    watch.poked = True
                    continue
                watch.looked_s = now_s
                watch.busy, watch.poked = True, False
                chosen.append(watch)
        for watch in chosen:
            self._workers.submit(watch.account, partial(self._look, watch))

    def _look(self, watch: Watch) -> None:
        try:
            with self._lock:
                job = self._jobs.get(watch.job_id)
            if job is None:
                return
            events = self._observer.look(watch, job, self._clock.monotonic_s())
            if events:
                self._apply(watch.job_id, events)
        finally:
            watch.busy = False
            if watch.poked:
                self._wake.set()

    def _now_ms(self) -> int:
        return epoch_ms(self._clock.now())


def _admits(pending: Pending) -> bool:
    return isinstance(pending.effect, Admit)

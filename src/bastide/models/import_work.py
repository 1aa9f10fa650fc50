"""The threads that do the imports: some gather models, others ask what was gathered something. An
agency has one under way at each label, and they take turns.

One that waits for an engine keeps no thread from the others: it is asked again in its turn. What
there is to do, the database says: a killed region goes on with it at its start. What is left of
models that are gone, their folders say: it is discarded until nothing is.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bastide.db.database import Database
from bastide.kernel.errors import Unavailable
from bastide.kernel.shares import Sharer, view_of
from bastide.models import import_records as records
from bastide.models.import_records import ImportJob
from bastide.models.importer import Gathered, Importer

logger = logging.getLogger(__name__)
THREADS = 2  # of each kind
UNDER_WAY_MAX = 8  # imports that have files on the disk
SERVED_MAX = 10_000  # of whom we know when they had a turn
RETRY_S = 5.0
JOIN_S = 10.0
OUR_FAULT = "The import failed for a reason of the region's own. Start it again."


def _after(wait_s: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(wait_s, act)
    timer.daemon = True
    timer.start()


@dataclass(slots=True, kw_only=True)
class ImportWork:
    """`after`: do something so many seconds from now."""

    database: Database
    importer: Importer
    after: Callable[[float, Callable[[], None]], None] = _after
    ended: threading.Event = field(default_factory=threading.Event)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _version: int = 0  # of what there may be to do
    _busy: set[Sharer] = field(default_factory=set)
    _line: deque[tuple[ImportJob, Gathered]] = field(default_factory=deque)
    _served: dict[Sharer, int] = field(default_factory=dict)  # when last
    _turns: int = 0
    _resting: set[str] = field(default_factory=set)  # jobs that are tried again later
    _unswept: bool = True
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for turn, kind in ((self._gather_next, "import"), (self._try_next, "import-trial")):
            for number in range(THREADS):
                name = f"{kind}-{number}"
                thread = threading.Thread(target=self._run, args=(turn,), name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def stop(self) -> None:
        """What is under way is begun anew at the next start, whatever becomes of it now."""
        with self._news:
            self.ended.set()
            self._news.notify_all()

    def close(self) -> None:
        self.stop()
        for thread in self._threads:
            thread.join(JOIN_S)

    def poke(self) -> None:
        with self._news:
            self._version += 1
            self._news.notify_all()

    def settle(self) -> None:
        """Do all that there is, here and now: for tests."""
        while self._gather_next() or self._try_next():
            continue

    def _run(self, turn: Callable[[], bool]) -> None:
        seen = -1
        while not self.ended.is_set():
            with self._news:
                while seen == self._version and not self.ended.is_set():
                    self._news.wait()
                seen = self._version
            while not self.ended.is_set() and turn():
                continue

    def _gather_next(self) -> bool:
        """False where there is nothing to gather."""
        try:
            self._sweep()
            job = self._next()
        except Unavailable as error:
            logger.warning("imports wait: %s", error)
            self.after(RETRY_S, self.poke)
            return False
        if job is not None:
            self._work(job, lambda: self.importer.gather(job))
        return job is not None

    def _try_next(self) -> bool:
        """False where nothing that was gathered is to be asked now. One that could not be asked
        is the last in the line from then on."""
        found = self._next_gathered()
        if found is not None:
            job, gathered = found
            self._work(job, lambda: self._tried(job, gathered))
        return found is not None

    def _tried(self, job: ImportJob, gathered: Gathered) -> Gathered | str:
        try:
            return self.importer.try_out(job, gathered)
        except Unavailable as error:
            logger.info("the import %s waits for an engine: %s", job.id, error)
            self._rest(job)
            return gathered

    def discard(self, account: str, id_: str) -> None:
        """What is left of a model that is gone: now, or as soon as it can be."""
        try:
            self.importer.discard(account, id_)
        except (Unavailable, OSError) as error:
            logger.warning("what is left of the model %s waits: %s", id_, error)
            self._sweep_later()

    def shred(self, account: str, labels: Iterable[str]) -> None:
        """An agency's keys for labels are no more: nor are the weights that it brought there."""
        for id_ in self.importer.shredded(account, labels):
            self.discard(account, id_)

    def _sweep(self) -> None:
        with self._news:
            due, self._unswept = self._unswept, False
        if not due:
            return
        try:
            self.importer.sweep()
        except (Unavailable, OSError) as error:
            logger.warning("what is left of models that are gone waits: %s", error)
            self._sweep_later()

    def _sweep_later(self) -> None:
        def due() -> None:
            with self._news:
                self._unswept = True
            self.poke()

        self.after(RETRY_S, due)

    def _next(self) -> ImportJob | None:
        """The oldest of those whose turn was the longest ago."""
        going = self.database.read(records.unfinished)
        with self._news:
            free = [
                job
                for job in going
                if _whose(job) not in self._busy and job.id not in self._resting
            ]
            if not free or len(self._busy) >= UNDER_WAY_MAX:
                return None
            job = min(free, key=lambda job: self._served.get(_whose(job), 0))
            whose = _whose(job)
            self._served.pop(whose, None)
            self._served[whose] = self._turns = self._turns + 1
            if len(self._served) > SERVED_MAX:
                del self._served[next(iter(self._served))]
            self._busy.add(whose)
            return job

    def _next_gathered(self) -> tuple[ImportJob, Gathered] | None:
        with self._news:
            for place, (job, gathered) in enumerate(self._line):
                if job.id not in self._resting:
                    del self._line[place]
                    return job, gathered
        return None

    def _work(self, job: ImportJob, work: Callable[[], Gathered | str]) -> None:
        """What was gathered stands in line then; all else has ended, or begins anew."""
        found: Gathered | str = ""
        try:
            found = work()
            if isinstance(found, str) and found and not self.ended.is_set():
                self._fail(job, found)  # else it may have failed of the end
        except Unavailable as error:
            logger.info("the import %s waits: %s", job.id, error)
            self._rest(job)
        except Exception:  # the edge: one import's trouble must not end the thread
            logger.exception("the import %s failed", job.id)
            self._fail(job, OUR_FAULT)
        finally:
            with self._news:
                if isinstance(found, Gathered):
                    self._line.append((job, found))
                else:
                    self._busy.discard(_whose(job))
            self.poke()

    def _fail(self, job: ImportJob, reason: str) -> None:
        try:
            self.importer.fail(job, reason)
        except Unavailable:
            self._rest(job)  # and it fails again
            return
        self.discard(job.account, job.model)

    def _rest(self, job: ImportJob) -> None:
        with self._news:
            self._resting.add(job.id)

        def rested() -> None:
            with self._news:
                self._resting.discard(job.id)
            self.poke()

        self.after(RETRY_S, rested)


def _whose(job: ImportJob) -> Sharer:
    return view_of(job.account, job.label)

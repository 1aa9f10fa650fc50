"""The threads that do the imports: as many at a time as there are threads, and one of an agency.

What there is to do, the database says: a killed region goes on with it at its start. What is left
of models that are gone, their folders say: it is discarded until nothing is.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bastide.db.database import Database
from bastide.kernel.errors import Unavailable
from bastide.models import import_records as records
from bastide.models.import_records import ImportJob
from bastide.models.importer import Importer

logger = logging.getLogger(__name__)
THREADS = 2
RETRY_S = 5.0
JOIN_S = 10.0
OUR_FAULT = "The import failed for a reason of the region's own. Start it again."


@dataclass(slots=True, kw_only=True)
class ImportWork:
    database: Database
    importer: Importer
    ended: threading.Event = field(default_factory=threading.Event)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _busy: set[str] = field(default_factory=set)  # agencies
    _resting: set[str] = field(default_factory=set)  # jobs that are tried again later
    _poked: bool = True
    _unswept: bool = True
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for number in range(THREADS):
            thread = threading.Thread(target=self._run, name=f"import-{number}", daemon=True)
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
            self._poked = True
            self._news.notify()

    def settle(self) -> None:
        """Do all that there is, here and now: for tests."""
        self._sweep()
        while (job := self._next()) is not None:
            self._do(job)

    def _run(self) -> None:
        while not self.ended.is_set():
            with self._news:
                while not self._poked and not self.ended.is_set():
                    self._news.wait()
                self._poked = False
            if not self.ended.is_set():
                self._turn()

    def _turn(self) -> None:
        try:
            self._sweep()
            job = self._next()
        except Unavailable as error:
            logger.warning("imports wait: %s", error)
            self._after_a_while(self.poke)
            return
        if job is not None:
            self.poke()  # there may be one of another agency
            self._do(job)
            self.poke()

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

        self._after_a_while(due)

    def _next(self) -> ImportJob | None:
        going = self.database.read(records.unfinished)
        with self._news:
            for job in going:
                if job.account not in self._busy and job.id not in self._resting:
                    self._busy.add(job.account)
                    return job
        return None

    def _do(self, job: ImportJob) -> None:
        try:
            reason = self.importer.run(job)
            if reason and not self.ended.is_set():  # else it may have failed of that
                self._fail(job, reason)
        except Unavailable as error:
            logger.info("the import %s waits: %s", job.id, error)
            self._rest(job)
        except Exception:  # the edge: one import's trouble must not end the thread
            logger.exception("the import %s failed", job.id)
            self._fail(job, OUR_FAULT)
        finally:
            with self._news:
                self._busy.discard(job.account)

    def _fail(self, job: ImportJob, reason: str) -> None:
        self.importer.fail(job, reason)
        self.discard(job.account, job.model)

    def _rest(self, job: ImportJob) -> None:
        with self._news:
            self._resting.add(job.id)

        def rested() -> None:
            with self._news:
                self._resting.discard(job.id)
            self.poke()

        self._after_a_while(rested)

    def _after_a_while(self, act: Callable[[], None]) -> None:
        timer = threading.Timer(RETRY_S, act)
        timer.daemon = True
        timer.start()

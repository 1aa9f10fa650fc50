"""A bounded pool of daemon threads: what they are at does not hold up the end of the process,
because every effect is carried out again after a crash. Agencies have shares of them: one's long
uploads hold off nobody else's launch."""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable

from bastide.kernel.shares import Shares

logger = logging.getLogger(__name__)
Task = Callable[[], None]


class Workers:
    """Runs what it is given: one task of each agency in turn, an agency's own in their order."""

    def __init__(self, count: int, name: str) -> None:
        self._shares = Shares(count)
        self._waiting: OrderedDict[str, deque[Task]] = OrderedDict()
        self._news = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, agency: str, task: Task) -> None:
        with self._news:
            self._waiting.setdefault(agency, deque()).append(task)
            self._news.notify()

    def close(self, timeout_s: float) -> None:
        """What has not begun is left for the next start."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        for thread in self._threads:
            thread.join(timeout_s)

    def _run(self) -> None:
        while (found := self._next()) is not None:
            agency, task = found
            try:
                task()
            except Exception:  # the edge: one bad task must not end the worker
                logger.exception("a task failed")
            finally:
                self._give_back(agency)

    def _next(self) -> tuple[str, Task] | None:
        with self._news:
            while not self._closing:
                for agency, tasks in self._waiting.items():
                    if self._shares.take(agency):
                        task = tasks.popleft()
                        self._waiting.move_to_end(agency)
                        if not tasks:
                            del self._waiting[agency]
                        return agency, task
                self._news.wait()
        return None

    def _give_back(self, agency: str) -> None:
        with self._news:
            self._shares.give_back(agency)
            if self._waiting:
                self._news.notify_all()  # another's share may have grown, too

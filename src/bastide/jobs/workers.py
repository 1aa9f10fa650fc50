"""A bounded pool of daemon threads: what they are at does not hold up the end of the process,
because every effect is carried out again after a crash."""

import logging
import queue
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Workers:
    """Runs what it is given, first come first served."""

    def __init__(self, count: int, name: str) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, task: Callable[[], None]) -> None:
        self._queue.put(task)

    def close(self, timeout_s: float) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout_s)

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                task()
            except Exception:  # the edge: one bad task must not end the worker
                logger.exception("a task failed")

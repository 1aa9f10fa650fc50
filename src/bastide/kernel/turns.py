"""Whose turn it is, where one thing works for all (`Sharer`) and for one at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One at a time; of those who wait, whoever was served longest ago. Safe to use from
    many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, int] = {}
        self._served: dict[str, int] = {}
        self._count = 0
        self._taken = False

    @contextmanager
    def turn(self, who: str, timeout_s: float) -> Iterator[None]:
        """TimeoutError where none came."""
        with self._changed:
            self._waiting[who] = self._waiting.get(who, 0) + 1
            mine = self._changed.wait_for(lambda: self._is_next(who), timeout_s)
            self._leave(who)
            if not mine:
                raise TimeoutError
            self._taken, self._count = True, self._count + 1
            self._served[who] = self._count
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                if not self._waiting:
                    self._served.clear()
                self._changed.notify_all()

    def _is_next(self, who: str) -> bool:
        return not self._taken and who == min(self._waiting, key=lambda w: self._served.get(w, 0))

    def _leave(self, who: str) -> None:
        self._waiting[who] -= 1
        if not self._waiting[who]:
            del self._waiting[who]
            self._changed.notify_all()

"""One command at a time, where two at once would undo each other's work."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from bastide.kernel.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Turns:
    """`what` says of a command what it is doing; it ends "Another command is …"."""

    what: str
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Not an RLock, and never waited for: each step may be another thread's. Raises
        Unavailable."""
        if not self._lock.acquire(blocking=False):
            raise Unavailable(f"Another command is {self.what}. Try again when it is done.")
        try:
            yield
        finally:
            self._lock.release()

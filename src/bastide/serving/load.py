"""What is under way: requests by replica, bytes by account and label. It belongs to the event
loop."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bastide.kernel.errors import ServiceError
from bastide.kernel.shares import Sharer

REPLICA_CALLS_MAX = 128
BYTES_MAX = 512 * 1024 * 1024  # of an account at one label: none is told of those above


@dataclass(slots=True)
class Held:
    """The bytes of one call that are in memory."""

    whose: Sharer
    load: "Load"
    size: int = 0

    def grow(self, size: int) -> None:
        """ServiceUnavailable when the account holds more at this label than it may."""
        self.size += size
        self.load.held[self.whose] = held = self.load.held.get(self.whose, 0) + size
        if held > BYTES_MAX:
            raise _busy("The calls under way are too large altogether")


@dataclass(slots=True)
class Load:
    busy: dict[Path, int] = field(default_factory=dict)
    held: dict[Sharer, int] = field(default_factory=dict)
    _turn: int = 0

    def order(self, sockets: Sequence[Path]) -> list[Path]:
        """The one with the fewest calls first; in turn among equals."""
        self._turn += 1
        first = self._turn % len(sockets)
        turned = [*sockets[first:], *sockets[:first]]
        return sorted(turned, key=lambda path: self.busy.get(path, 0))

    @contextmanager
    def call(self, socket: Path) -> Iterator[None]:
        """A place at the replica; ServiceUnavailable when it has none left."""
        count = self.busy.get(socket, 0)
        if count >= REPLICA_CALLS_MAX:
            raise _busy("Every instance has as many calls as it may")
        self.busy[socket] = count + 1
        try:
            yield
        finally:
            self.busy[socket] -= 1
            if not self.busy[socket]:
                del self.busy[socket]

    @contextmanager
    def memory(self, whose: Sharer) -> Iterator[Held]:
        held = Held(whose, self)
        try:
            yield held
        finally:
            self.held[whose] = self.held.get(whose, 0) - held.size
            if not self.held[whose]:
                del self.held[whose]


def _busy(why: str) -> ServiceError:
    return ServiceError("ServiceUnavailable", f"{why}; try again.", status=503)

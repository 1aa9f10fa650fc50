"""A bound that many share, so that nobody can take it all: connections, memory, threads.

Nobody may hold more than what is left for the others. One alone gets a half, two a third each; and
a newcomer finds something, whoever the others are.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NewType

Sharer = NewType("Sharer", str)  # an agency at one of its labels: an agency alone is none


def view_of(account: str, label: str) -> Sharer:
    """An agency at one of its labels, as one of those who share: were its labels counted together,
    what is refused below would tell what is held above (decision 0074)."""
    return Sharer(f"{account} {label}")


class Shares:
    """Counts who holds how much of `size`."""

    def __init__(self, size: int) -> None:
        self.free = size
        self._held: defaultdict[str, int] = defaultdict(int)

    def take(self, who: str, amount: int = 1) -> bool:
        """Whether `who` may have that much more; it holds it then."""
        if self._held.get(who, 0) + amount > self.free - amount:
            return False
        self._held[who] += amount
        self.free -= amount
        return True

    def could(self, who: str, amount: int, freed: int) -> bool:
        """Whether it might take that much more, were `freed` of others' given back."""
        return self._held.get(who, 0) + amount <= self.free + freed - amount

    def give_back(self, who: str, amount: int = 1) -> None:
        self.free += amount
        self._held[who] -= amount
        if not self._held[who]:
            del self._held[who]


class Line:
    """Those who wait for one thing, none of them with more than a share of its places. Safe to use
    from many threads."""

    def __init__(self, places: int) -> None:
        self._shares, self._lock = Shares(places), threading.Lock()

    @property
    def free(self) -> int:
        return self._shares.free

    @contextmanager
    def place(self, who: str) -> Iterator[None]:
        """TimeoutError at once where `who` has its share."""
        with self._lock:
            if not self._shares.take(who):
                raise TimeoutError
        try:
            yield
        finally:
            with self._lock:
                self._shares.give_back(who)

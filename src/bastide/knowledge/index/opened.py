"""The partitions that are in memory, within a bound.

Where there is no more room, the highest label of the agency that holds the most goes first, and of
equal ones the one that was not asked for the longest. So nothing above makes a question below
slower: what is high makes room for what is low, and never the other way.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bastide.kernel.labels.label import Label
from bastide.knowledge.index import records
from bastide.knowledge.index.graph import Graph
from bastide.knowledge.index.partition import Partition
from bastide.knowledge.index.sealing import PartitionKey


@dataclass(slots=True, eq=False)
class Opened:
    """One partition, and the key of what lies on the disk. `building`: its graph is on its way."""

    row: records.Row
    key: PartitionKey
    partition: Partition = field(default_factory=Partition)
    graph: Graph | None = None
    building: bool = False
    asked: int = 0


class InMemory:
    """Safe to use from many threads. What is let go of stays whole for those who work on it."""

    def __init__(self, bytes_max: int, parse: Callable[[str], Label]) -> None:
        self._bytes_max = bytes_max
        self._parse = parse
        self._lock = threading.Lock()
        self._held: dict[int, Opened] = {}
        self._asked = 0

    def find(self, partition: int) -> Opened | None:
        with self._lock:
            one = self._held.get(partition)
            if one is not None:
                self._asked += 1
                one.asked = self._asked
            return one

    def keep(self, one: Opened) -> None:
        with self._lock:
            self._held[one.row.id] = one

    def forget(self, partition: int) -> None:
        with self._lock:
            self._held.pop(partition, None)

    def make_room(self) -> None:
        """After a question: what it needed may go again at once."""
        with self._lock:
            sizes = {each: one.partition.size_bytes for each, one in self._held.items()}
            while sum(sizes.values()) > self._bytes_max:
                gone = self._first_to_go(sizes)
                del self._held[gone], sizes[gone]

    def _first_to_go(self, sizes: dict[int, int]) -> int:
        held: Counter[str] = Counter()
        for partition, size in sizes.items():
            held[self._held[partition].row.account] += size
        ((most, _),) = held.most_common(1)
        own = [p for p in sizes if self._held[p].row.account == most]
        return max(own, key=lambda p: (self._height(p), -self._held[p].asked))

    def _height(self, partition: int) -> tuple[int, int]:
        """Greater for each label that dominates another."""
        label = self._parse(self._held[partition].row.label)
        return label.level, label.categories.bit_count()

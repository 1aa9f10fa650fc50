"""One label of one knowledge base, in memory: what is compared and counted, and no text.

Grows by appending. A search takes a `View` and works on that while others add: rows that were
there do not move, and who removes some makes a new mask of those alive.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bastide.knowledge.index.attribute_records import Attributes
from bastide.knowledge.index.lexical import Postings, Words, grown, postings
from bastide.knowledge.index.sealing import Searched
from bastide.knowledge.index.vectors import Codes, coded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

ROOM_MIN = 256


@dataclass(frozen=True, slots=True)
class View:
    """The rows of one moment: `ids` ascend. `vectors` is None where there is none at all; which
    rows have one is in `embedded`."""

    ids: "npt.NDArray[np.int64]"
    vectors: "Vectors | None"
    codes: Codes | None
    embedded: "npt.NDArray[np.bool_]"
    words: Words

    @property
    def alive(self) -> "npt.NDArray[np.bool_]":
        return self.words.alive


class Partition:
    """Safe to use from many threads."""

    def __init__(self) -> None:
        import numpy as np

        self._lock = threading.Lock()
        self._count = 0
        self._ids = np.zeros(ROOM_MIN, np.int64)
        self._lengths = np.zeros(ROOM_MIN, np.uint32)
        self._alive = np.zeros(ROOM_MIN, np.bool_)
        self._embedded = np.zeros(ROOM_MIN, np.bool_)
        self._vectors: Vectors | None = None
        self._codes: Codes | None = None
        self._postings: tuple[Postings, ...] = ()
        self._attributes: Attributes | None = None

    @property
    def size_bytes(self) -> int:
        vectors = 0 if self._vectors is None else self._vectors.nbytes * 5 // 4
        words = sum(one.size for one in self._postings)
        return vectors + words * 8 + self._count * 16

    def view(self) -> View:
        with self._lock:
            count = self._count
            vectors = None if self._vectors is None else self._vectors[:count]
            codes = None if self._codes is None else self._codes.first(count)
            words = Words(self._postings, self._lengths[:count], self._alive[:count])
            return View(self._ids[:count], vectors, codes, self._embedded[:count], words)

    def add(self, ids: Sequence[int], chunks: Sequence[Searched]) -> None:
        """`ids` are greater than all that are here."""
        if not ids:
            return
        import numpy as np

        with self._lock:
            first, end = self._count, self._count + len(ids)
            self._make_room(end, max(len(chunk.vector) for chunk in chunks) // 4)
            self._ids[first:end] = ids
            self._lengths[first:end] = [chunk.length for chunk in chunks]
            self._alive[first:end] = True
            if self._vectors is not None and self._codes is not None:
                new = self._vectors[first:end]
                for row, chunk in enumerate(chunks):
                    if chunk.vector:
                        new[row] = np.frombuffer(chunk.vector, "<f4")
                self._embedded[first:end] = new.any(axis=1)
                made = coded(new)
                self._codes.codes[first:end] = made.codes
                self._codes.scales[first:end] = made.scales
                self._codes.errors[first:end] = made.errors
            self._postings = grown(self._postings, _postings(first, chunks))
            self._count = end

    def remove(self, ids: Sequence[int]) -> None:
        import numpy as np

        with self._lock:
            rows = np.searchsorted(self._ids[: self._count], np.array(ids, np.int64))
            alive = self._alive.copy()  # searches under way keep theirs
            alive[rows] = False
            self._alive = alive

    @property
    def attributes(self) -> Attributes | None:
        """None until somebody filtered here."""
        return self._attributes

    def learn(self, found: Sequence[Mapping[str, Any]]) -> Attributes:
        """The attributes of all rows so far, in order."""
        made = Attributes()
        made.add(0, found)
        self._attributes = made
        return made

    def _make_room(self, count: int, dimensions: int) -> None:
        import numpy as np

        room = len(self._ids)
        if count > room:
            room = max(2 * room, count)
            old = (self._ids, self._lengths, self._alive, self._embedded)
            self._ids, self._lengths, self._alive, self._embedded = (
                _longer(each, room) for each in old
            )
            if self._vectors is not None and self._codes is not None:
                self._vectors, was = _longer(self._vectors, room), self._codes
                self._codes = Codes(
                    _longer(was.codes, room), _longer(was.scales, room), _longer(was.errors, room)
                )
        if self._vectors is None and dimensions:
            self._vectors = np.zeros((room, dimensions), np.float32)
            self._codes = Codes(
                np.zeros((room, dimensions), np.int8),
                np.zeros(room, np.float32),
                np.zeros(room, np.float32),
            )


def _longer(old: "npt.NDArray[Any]", room: int) -> "npt.NDArray[Any]":
    import numpy as np

    made = np.zeros((room, *old.shape[1:]), old.dtype)
    made[: len(old)] = old
    return made


def _postings(first: int, chunks: Sequence[Searched]) -> Postings:
    import numpy as np

    words = np.frombuffer(b"".join(chunk.words for chunk in chunks), "<u8")
    counts = np.frombuffer(b"".join(chunk.counts for chunk in chunks), "<u2")
    each = [len(chunk.words) // 8 for chunk in chunks]
    rows = np.repeat(np.arange(first, first + len(chunks), dtype=np.uint32), each)
    return postings(words, rows, counts)

"""Items end to end, cut into files of one size: written synced, read only after their digest held.

The bytes pass two hashes, one of the chunk and one of the item: each has a thread.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bastide.transfer.model import (
    CHUNK_BYTES,
    Item,
    Predicate,
    Refused,
    Statement,
    Subject,
    chunk_name,
    chunk_size,
)


class Digest:
    """A sha256 that is fed in another thread; what it is given must not change."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._hash = hashlib.sha256()
        self._last: Future[None] | None = None

    def update(self, data: bytes | memoryview) -> None:
        if self._last is not None:
            self._last.result()  # in order, and never more than one behind
        self._last = self._executor.submit(self._hash.update, data)

    def hexdigest(self) -> str:
        if self._last is not None:
            self._last.result()
        return self._hash.hexdigest()


@dataclass(slots=True)
class Packer:
    """Writes chunks into `folder`. `add` an item's pieces at a time, then `finish`."""

    folder: Path
    executor: ThreadPoolExecutor
    size: int = 0
    _subjects: list[Subject] = field(default_factory=list)
    _held: bytearray = field(default_factory=bytearray)

    def add(self, pieces: Iterable[bytes]) -> Iterator[int | tuple[int, str]]:
        """Yields the size of each piece written, last the item's size and sha256."""
        digest, size = Digest(self.executor), 0
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            self._take(piece)
            yield len(piece)
        yield size, digest.hexdigest()

    def finish(self) -> list[Subject]:
        if self._held:
            self._write(bytes(self._held))
            self._held.clear()
        return self._subjects

    def _take(self, piece: bytes) -> None:
        self._held += piece
        self.size += len(piece)
        while len(self._held) >= CHUNK_BYTES:
            self._write(bytes(memoryview(self._held)[:CHUNK_BYTES]))
            del self._held[:CHUNK_BYTES]

    def _write(self, chunk: bytes) -> None:
        name = chunk_name(len(self._subjects))
        descriptor = os.open(
            self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(chunk)
            file.flush()
            os.fsync(descriptor)
        digest = hashlib.sha256(chunk).hexdigest()
        self._subjects.append(Subject(name=name, digest={"sha256": digest}))


def read_chunk(folder: Path, statement: Statement, number: int) -> bytes:
    """Chunk `number`, if it is what was signed. Raises Refused."""
    subject = statement.subject[number]
    want = chunk_size(statement.predicate, number)
    try:
        descriptor = os.open(
            folder / subject.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except OSError as error:
        raise Refused(f"{subject.name} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        try:
            data = file.read(want + 1)
        except OSError as error:
            raise Refused(f"{subject.name} cannot be read: {error.strerror}") from None
    if len(data or b"") != want or hashlib.sha256(data).hexdigest() != subject.digest["sha256"]:
        raise Refused(f"{subject.name} is not what was signed")
    return data


def pieces(folder: Path, statement: Statement) -> Iterator[tuple[int, memoryview]]:
    """The items' bytes in order, each with its item's number; an empty item has one empty piece.
    No byte is given before its chunk's digest held. Raises Refused."""
    items = enumerate(statement.predicate.items)
    number, left = -1, 0
    for which in range(len(statement.subject)):
        rest = memoryview(read_chunk(folder, statement, which))
        while rest:
            while left == 0:
                number, item = next(items)
                left = item.size
                if left == 0:
                    yield number, rest[:0]
            piece, rest = rest[:left], rest[left:]
            left -= len(piece)
            yield number, piece
    for number, _ in items:
        yield number, memoryview(b"")


def verified(
    folder: Path, statement: Statement, executor: ThreadPoolExecutor
) -> Iterator[tuple[int, memoryview]]:
    """`pieces`, and at each item's end its digest must be the signed one. Raises Refused."""
    items = statement.predicate.items
    current, digest = -1, Digest(executor)
    for number, piece in pieces(folder, statement):
        if number != current:
            _check(items, current, digest)
            current, digest = number, Digest(executor)
        digest.update(piece)
        yield number, piece
    _check(items, current, digest)


def _check(items: list[Item], number: int, digest: Digest) -> None:
    if number >= 0 and digest.hexdigest() != items[number].sha256:
        raise Refused(f"item {number} is not what was signed")


def total(predicate: Predicate) -> int:
    return max(1, predicate.size)

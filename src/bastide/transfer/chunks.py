"""Items end to end, cut into files of one size: written synced, read only after their digest held.

The bytes pass two hashes, one of the chunk and one of the item: each has a thread.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from bastide.transfer.making import Half
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


class Packer:
    """Writes chunks. `add` an item's pieces at a time, then `finish`. A chunk is synced while the
    next is written. Of what is there already no byte is written: it must be the same."""

    def __init__(self, half: Half, digests: ThreadPoolExecutor, syncs: ThreadPoolExecutor) -> None:
        self.size = sum(item.size for item in half.items)
        self._half = half
        self._folder = half.folder
        self._there = len(half.chunks) * CHUNK_BYTES
        self._digests = digests
        self._syncs = syncs
        self._subjects = [_subject(number, one) for number, one in enumerate(half.chunks)]
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._left = 0
        self._syncing: Future[None] | None = None

    def add(self, pieces: Iterable[bytes]) -> Iterator[int | tuple[int, str]]:
        """Yields the size of each piece written, last the item's size and sha256."""
        digest, size = Digest(self._digests), 0
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            self._take(memoryview(piece))
            yield len(piece)
        yield size, digest.hexdigest()

    def finish(self) -> list[Subject]:
        if self._file is not None:
            self._end(self._file)
        if self._syncing is not None:
            self._syncing.result()
        return self._subjects

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _take(self, rest: memoryview) -> None:
        at = self.size
        self.size += len(rest)
        while rest and at < self._there:
            count = self._compare(rest, at)
            rest, at = rest[count:], at + count
        while rest:
            file = self._file or self._begin()
            count = file.write(rest[: self._left])
            self._hash.update(rest[:count])
            rest = rest[count:]
            self._left -= count
            if not self._left:
                self._end(file)

    def _compare(self, data: memoryview, at: int) -> int:
        """Read what lies at `at`, as far as its chunk goes, beside what is to lie there."""
        number, start = divmod(at, CHUNK_BYTES)
        count = min(len(data), CHUNK_BYTES - start)
        with (self._folder / chunk_name(number)).open("rb") as file:
            file.seek(start)
            if file.read(count) != data[:count]:
                raise Refused("what is packed has changed: ask for it again")
        return count

    def _begin(self) -> BinaryIO:
        path = self._folder / chunk_name(len(self._subjects))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._hash, self._left = hashlib.sha256(), CHUNK_BYTES
        return self._file

    def _end(self, file: BinaryIO) -> None:
        digest = self._hash.hexdigest()
        self._subjects.append(_subject(len(self._subjects), digest))
        self._file = None
        if self._syncing is not None:
            self._syncing.result()
        self._syncing = self._syncs.submit(self._sync, file, digest)

    def _sync(self, file: BinaryIO, digest: str) -> None:
        with file:
            os.fsync(file.fileno())
        self._half.add_chunk(digest)


def _subject(number: int, digest: str) -> Subject:
    return Subject(name=chunk_name(number), digest={"sha256": digest})


def read_chunk(folder: Path, statement: Statement, number: int) -> bytes:
    """Chunk `number`, if it is what was signed. Raises Refused."""
    subject = statement.subject[number]
    want = chunk_size(statement.predicate, number)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(folder / subject.name, "rb", opener=lambda path, _: os.open(path, flags)) as file:
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

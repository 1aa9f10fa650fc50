"""From bodies to sealed blobs and back: the one place that holds plain bytes.

Small blobs stay in their database row: one shared fsync instead of three of their own.
"""

import os
import queue
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids
from bastide.store import sealed
from bastide.store.blobs import BlobFile, Blobs
from bastide.store.digests import Digests
from bastide.store.model import Blob
from bastide.store.ports import Keyring
from bastide.store.sealed import CHUNK_SIZE, HEADER_SIZE, SEALED_CHUNK_SIZE, Opener, Place, Sealer

INLINE_SIZE_MAX = 64 * 1024
UNIT_CHUNKS = 4
UNIT_SIZE = UNIT_CHUNKS * CHUNK_SIZE
BUFFER_SIZE = UNIT_CHUNKS * SEALED_CHUNK_SIZE
BUFFERS_MAX = 64
SYNC_EVERY_SIZE = 16 * UNIT_SIZE


class Source(Protocol):
    """Where plain bytes come from: a request's body, or another object."""

    def read(self, size: int = -1) -> bytes: ...


class Pieces:
    """A Source over an iterable."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        size = len(self._rest) if size < 0 else size
        head, self._rest = self._rest[:size], self._rest[size:]
        return bytes(head)


class Buffers:
    """Reused buffers: fresh ones of this size cost more in page faults than the cipher."""

    def __init__(self) -> None:
        self._free: queue.LifoQueue[bytearray] = queue.LifoQueue(BUFFERS_MAX)

    def take(self) -> bytearray:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return bytearray(BUFFER_SIZE)

    def give(self, buffer: bytearray) -> None:
        if not self._free.full():
            self._free.put_nowait(buffer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Seals bodies into blobs and opens them again."""

    blobs: Blobs
    keyring: Keyring
    clock: Clock
    ids: Ids
    hashing: Executor
    buffers: Buffers

    def store(self, place: Place, source: Source, algorithms: Iterable[str], size_max: int) -> Blob:
        """Read `source` to its verified end and seal it; durable, but no row names it yet."""
        first = _read_full(source, UNIT_SIZE)
        kek = self.keyring.current(place.account, place.label)
        dek = self.ids.token(sealed.KEY_SIZE)
        sealer = Sealer(dek, self.ids.token(sealed.SALT_SIZE), place)
        digests = Digests(frozenset(algorithms), self.hashing)
        blob_id = self.ids.uuid()
        if len(first) <= INLINE_SIZE_MAX:
            _check_size(len(first), size_max)
            digests.feed(first)
            size, inline = len(first), _inline(sealer, first)
        else:
            with self.blobs.create(blob_id) as file:
                size, inline = (
                    self._write(file, sealer, _Feed(first, source, size_max), digests),
                    None,
                )
        etag, checksums = digests.finish()
        aad = sealed.wrap_aad(place.account, place.label, place.object_id, place.part)
        return Blob(
            object_id=place.object_id, part=place.part, blob_id=blob_id, account=place.account,
            label=place.label, size=size, etag=etag, kek_id=kek.id,
            wrapped=self.keyring.wrap(kek, dek, aad), modified_ms=epoch_ms(self.clock.now()),
            inline=inline, checksums=checksums,
        )  # fmt: skip

    def _write(self, file: BlobFile, sealer: Sealer, feed: "_Feed", digests: Digests) -> int:
        buffer = self.buffers.take()
        syncing: Future[None] | None = None
        try:
            out = memoryview(buffer)
            file.write(sealer.header)
            for unit, last in feed:
                digests.feed(unit)
                file.write(out[: sealer.seal_into(unit, out, last=last)])
                if feed.size % SYNC_EVERY_SIZE == 0 and (syncing is None or syncing.done()):
                    syncing = self.hashing.submit(file.sync)
            if syncing is not None:
                syncing.result()
            file.keep()
        finally:
            if syncing is not None:
                wait([syncing])
            self.buffers.give(buffer)
        return feed.size

    def discard(self, blob: Blob) -> None:
        """Remove a blob that never got its row."""
        if blob.inline is None:
            self.blobs.remove(blob.object_id, [blob.blob_id])

    def reader(self, blobs: Sequence[Blob], place: Place, start: int, end: int) -> "ObjectReader":
        """The bytes [start, end) of the object that `blobs` make up. Its first chunk is open when
        this returns; FileNotFoundError when the object was replaced in between."""
        reader = ObjectReader(self, blobs, place, start, end)
        try:
            reader.open_first()
        except BaseException:  # whatever went wrong, the file is let go of
            reader.close()
            raise
        return reader

    def opener(self, blob: Blob, header: bytes, place: Place) -> Opener:
        aad = sealed.wrap_aad(blob.account, blob.label, blob.object_id, blob.part)
        try:
            kek = self.keyring.by_id(blob.kek_id)
        except KeyError:
            raise sealed.Tampered(f"the key of object {blob.object_id} was destroyed") from None
        dek = self.keyring.unwrap(kek, blob.wrapped, aad)
        return Opener(dek, header, place, blob.size)


class _Feed:
    """Whole units of a source, each with whether it is the last, which only reading on tells."""

    def __init__(self, first: bytes, source: Source, size_max: int) -> None:
        self._first = first
        self._source = source
        self._size_max = size_max
        self.size = 0

    def __iter__(self) -> Iterator[tuple[bytes, bool]]:
        unit = self._first
        while unit:
            self.size += len(unit)
            _check_size(self.size, self._size_max)
            following = _read_full(self._source, UNIT_SIZE) if len(unit) == UNIT_SIZE else b""
            yield unit, not following
            unit = following


class ObjectReader:
    """An iterator of plain pieces that lets go of its file at the end, on `close`, or when it is
    dropped: a generator that was never started would not."""

    def __init__(
        self, content: Content, blobs: Sequence[Blob], place: Place, start: int, end: int
    ) -> None:
        self._content = content
        self._place = place
        self._spans = list(_spans(blobs, start, end))
        self._pinned = False
        self._descriptor = -1
        self._pieces: Iterator[bytes] = iter(())

    def open_first(self) -> None:
        """Open the first chunk already: what cannot be opened fails before an answer began."""
        self._content.blobs.pin(self._place.object_id)
        self._pinned = True
        rest = self._run()
        first = next(rest, b"")
        self._pieces = chain([first], rest) if first else rest

    def __iter__(self) -> "ObjectReader":
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:  # the end included: nothing is held after it
            self.close()
            raise

    def close(self) -> None:
        if self._pinned:
            self._pinned = False
            self._let_go()
            self._content.blobs.unpin(self._place.object_id)
        self._pieces = iter(())

    def __del__(self) -> None:
        self.close()

    def _run(self) -> Iterator[bytes]:
        for blob, start, end in self._spans:
            place = replace(self._place, part=blob.part)
            if blob.inline is not None:
                yield self._open_inline(blob, blob.inline, place)[start:end]
            else:
                yield from self._open_file(blob, place, start, end)

    def _open_inline(self, blob: Blob, data: bytes, place: Place) -> bytes:
        opener = self._content.opener(blob, data[:HEADER_SIZE], place)
        plain = bytearray(blob.size)
        opener.open_into(0, memoryview(data)[HEADER_SIZE:], memoryview(plain))
        return bytes(plain)

    def _open_file(self, blob: Blob, place: Place, start: int, end: int) -> Iterator[bytes]:
        if self._descriptor < 0:
            self._descriptor = self._content.blobs.open(blob.blob_id)
        if os.fstat(self._descriptor).st_size != sealed.sealed_size(blob.size):
            raise sealed.Tampered(f"blob {blob.blob_id} has another length")
        header = os.pread(self._descriptor, HEADER_SIZE, 0)
        opener = self._content.opener(blob, header, place)
        for index in range(start // CHUNK_SIZE, -(-end // CHUNK_SIZE)):
            first = index * CHUNK_SIZE
            yield self._chunk(opener, index)[max(0, start - first) : end - first]
        self._let_go()

    def _chunk(self, opener: Opener, index: int) -> bytes:
        """One buffer for both texts: the plain one is decrypted behind the sealed one."""
        size = opener.chunk_size(index)
        buffer = self._content.buffers.take()
        try:
            view = memoryview(buffer)
            sealed_view = view[: size + sealed.TAG_SIZE]
            at = HEADER_SIZE + index * SEALED_CHUNK_SIZE
            read = os.preadv(self._descriptor, [sealed_view], at)
            out = view[SEALED_CHUNK_SIZE : SEALED_CHUNK_SIZE + size]
            opener.open_into(index, sealed_view[:read], out)
            return bytes(out)
        finally:
            self._content.buffers.give(buffer)

    def _let_go(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _spans(blobs: Sequence[Blob], start: int, end: int) -> Iterator[tuple[Blob, int, int]]:
    """The blobs that [start, end) of their concatenation touches, each with its own range."""
    base = 0
    for blob in blobs:
        low, high = max(start - base, 0), min(end - base, blob.size)
        if low < high or (blob.size == 0 and start == end == base):
            yield blob, low, high
        base += blob.size


def _inline(sealer: Sealer, plain: bytes) -> bytes:
    out = bytearray(len(plain) + sealed.TAG_SIZE)
    sealer.seal_into(plain, memoryview(out), last=True)
    return sealer.header + bytes(out)


def _read_full(source: Source, size: int) -> bytes:
    """`size` bytes, or all that is left: then the source's end was seen, and so verified."""
    piece = source.read(size)
    if len(piece) == size or not piece:
        return piece
    pieces = [piece]
    missing = size - len(piece)
    while missing and (piece := source.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _check_size(size: int, size_max: int) -> None:
    if size > size_max:
        raise ServiceError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            status=400,
            members={"MaxSizeAllowed": str(size_max), "ProposedSize": str(size)},
        )

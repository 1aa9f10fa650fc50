"""From bodies to sealed blobs and back: the one place that holds plain bytes.

Small blobs stay in their database row: one shared fsync instead of three of their own.
"""

import os
import queue
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids
from bastide.store import errors, sealed
from bastide.store.blobs import BlobFile, Blobs
from bastide.store.digests import Digests
from bastide.store.model import Blob
from bastide.store.ports import Keyring, ObjectKeys
from bastide.store.sealed import CHUNK_SIZE, HEADER_SIZE, SEALED_CHUNK_SIZE, Opener, Place, Sealer

INLINE_SIZE_MAX = 64 * 1024
UNIT_CHUNKS = 4
UNIT_SIZE = UNIT_CHUNKS * CHUNK_SIZE
BUFFER_SIZE = UNIT_CHUNKS * SEALED_CHUNK_SIZE
BUFFERS_MAX = 64
UNITS_HELD = 3  # one that is sealed, the next, and one that is still hashed
SYNC_EVERY = 16  # units


class Source(Protocol):
    """Where plain bytes come from: a request's body, or another object."""

    def readinto(self, view: memoryview) -> int: ...


class Pieces:
    """A Source over an iterable."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readinto(self, view: memoryview) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(view), len(self._rest))
        view[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


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
    object_keys: ObjectKeys
    clock: Clock
    ids: Ids
    hashing: Executor
    buffers: Buffers

    def store(
        self,
        place: Place,
        source: Source,
        algorithms: Iterable[str],
        size_max: int,
        kms_key: str = "",
    ) -> Blob:
        """Read `source` to its verified end and seal it; durable, but no row names it yet."""
        kek = self.keyring.current(place.account, place.label)
        dek = self.ids.token(sealed.KEY_SIZE)
        guarded = self._guarded(place, dek, kms_key)
        sealer = Sealer(dek, self.ids.token(sealed.SALT_SIZE), place)
        digests = Digests(frozenset(algorithms), self.hashing)
        blob_id = self.ids.uuid()
        feed = _Feed(source, self.buffers, size_max)
        inline: bytes | None = None
        try:
            first = feed.next()
            if len(first) <= INLINE_SIZE_MAX:
                digests.feed(first)
                inline = _inline(sealer, first)
            else:
                with self.blobs.create(blob_id) as file:
                    self._write(file, sealer, feed.units(first), digests)
            etag, checksums = digests.finish()
        finally:
            digests.settle()  # until then it reads what the feed lent
            feed.close()
        aad = sealed.wrap_aad(place.account, place.label, place.object_id, place.part)
        return Blob(
            object_id=place.object_id, part=place.part, blob_id=blob_id, account=place.account,
            label=place.label, size=feed.size, etag=etag, kek_id=kek.id,
            wrapped=self.keyring.wrap(kek, guarded, aad), modified_ms=epoch_ms(self.clock.now()),
            inline=inline, checksums=checksums,
        )  # fmt: skip

    def _guarded(self, place: Place, dek: bytes, kms_key: str) -> bytes:
        """The data key or, under a KMS key, what that makes of it, which is longer. The agency's
        key for the label wraps either: both must be there to open it."""
        if not kms_key:
            return dek
        seal = self.object_keys.seal
        return seal(place.account, kms_key, place.bucket, place.key, dek)

    def check_opens(self, blob: Blob) -> None:
        """Within the write that names it: its key may have been destroyed since it was sealed."""
        try:
            self.keyring.by_id(blob.kek_id)
        except KeyError:
            raise errors.key_changed() from None

    def _write(
        self,
        file: BlobFile,
        sealer: Sealer,
        units: Iterable[tuple[memoryview, bool]],
        digests: Digests,
    ) -> None:
        buffer = self.buffers.take()
        syncing: Future[None] | None = None
        try:
            out = memoryview(buffer)
            file.write(sealer.header)
            for number, (unit, last) in enumerate(units, 1):
                digests.feed(unit)
                file.write(out[: sealer.seal_into(unit, out, last=last)])
                if number % SYNC_EVERY == 0 and (syncing is None or syncing.done()):
                    syncing = self.hashing.submit(file.sync)
            if syncing is not None:
                syncing.result()
            file.keep()
        finally:
            if syncing is not None:
                wait([syncing])
            self.buffers.give(buffer)

    def discard(self, blob: Blob) -> None:
        """Remove a blob that never got its row."""
        if blob.inline is None:
            self.blobs.remove(blob.object_id, [blob.blob_id])

    def reader(self, blobs: Sequence[Blob], place: Place, start: int, end: int) -> "ObjectReader":
        """The bytes [start, end) of the object that `blobs` make up. Its first chunk is open when
        this returns; FileNotFoundError when the object was replaced in between."""
        reader = ObjectReader(self, blobs, place, start, end)
        with ExitStack() as undo:
            undo.callback(reader.close)  # whatever goes wrong, the file is let go of
            reader.open_first()
            undo.pop_all()
        return reader

    def opener(self, blob: Blob, header: bytes, place: Place) -> Opener:
        aad = sealed.wrap_aad(blob.account, blob.label, blob.object_id, blob.part)
        try:
            kek = self.keyring.by_id(blob.kek_id)
        except KeyError:
            raise errors.key_destroyed() from None
        dek = self.keyring.unwrap(kek, blob.wrapped, aad)
        if len(dek) != sealed.KEY_SIZE:
            dek = self.object_keys.open(place.account, place.bucket, place.key, dek)
        return Opener(dek, header, place, blob.size)


class _Feed:
    """Whole units of a source, in buffers that are used in turn: a unit is good until the third
    after it is asked for. The digests, one step behind, have let go of it by then."""

    def __init__(self, source: Source, buffers: Buffers, size_max: int) -> None:
        self._source = source
        self._buffers = buffers
        self._size_max = size_max
        self._held: list[bytearray] = []
        self._turn = 0
        self.size = 0

    def next(self) -> memoryview:
        """A whole unit, or all that is left: then the source's end was seen, and so verified."""
        if len(self._held) < UNITS_HELD:
            self._held.append(self._buffers.take())
        view = memoryview(self._held[self._turn])[:UNIT_SIZE]
        self._turn = (self._turn + 1) % UNITS_HELD
        size = 0
        while size < UNIT_SIZE and (added := self._source.readinto(view[size:])):
            size += added
        self.size += size
        _check_size(self.size, self._size_max)
        return view[:size]

    def units(self, first: memoryview) -> Iterator[tuple[memoryview, bool]]:
        """Each with whether it is the last, which only reading on tells."""
        unit = first
        while unit:
            following = self.next() if len(unit) == UNIT_SIZE else unit[:0]
            yield unit, not following
            unit = following

    def close(self) -> None:
        for buffer in self._held:
            self._buffers.give(buffer)
        self._held.clear()


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


def _inline(sealer: Sealer, plain: memoryview) -> bytes:
    out = bytearray(len(plain) + sealed.TAG_SIZE)
    sealer.seal_into(plain, memoryview(out), last=True)
    return sealer.header + bytes(out)


def _check_size(size: int, size_max: int) -> None:
    if size > size_max:
        raise ServiceError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            status=400,
            members={"MaxSizeAllowed": str(size_max), "ProposedSize": str(size)},
        )

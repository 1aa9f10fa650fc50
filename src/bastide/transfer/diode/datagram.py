"""One datagram: which bundle, which of its files and how it lies, which shard of it, the shard.

A file is named by its digest, so a datagram can say nothing of it that is not checked in the end;
the sum at its head is against noise only.
"""

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from bastide.transfer import dsse
from bastide.transfer.diode.erasure import SHARD_BYTES, Shape
from bastide.transfer.model import ENVELOPE_BYTES_MAX

MAGIC = b"BDU1"
CHUNK, ENVELOPE = 0, 1
BYTES_MIN = {CHUNK: 1, ENVELOPE: dsse.BYTES_MIN}  # of less, no signature would be checked
FILE_BYTES_MAX = ENVELOPE_BYTES_MAX
_OF = Struct(">4s32s32sIBBB")  # magic, bundle, file, size, kind, k, m
_WHERE = Struct(">BH")  # column, row
_SUM = Struct(">I")
OF_BYTES = _OF.size
HEAD_BYTES = OF_BYTES + _WHERE.size + _SUM.size
DATAGRAM_BYTES = HEAD_BYTES + SHARD_BYTES


class File(NamedTuple):
    """What all datagrams of a file have in common: the first `OF_BYTES` of each."""

    bundle: bytes
    digest: bytes
    kind: int
    shape: Shape

    def packed(self) -> bytes:
        size, k, m = self.shape
        return _OF.pack(MAGIC, self.bundle, self.digest, size, self.kind, k, m)


def packed(of: bytes, shape: Shape, slot: int, shard: bytes) -> bytes:
    column, row = divmod(slot, shape.rows)
    head = of + _WHERE.pack(column, row)
    return head + _SUM.pack(crc32(shard, crc32(head))) + shard


def slot_of(datagram: bytes, shape: Shape) -> int | None:
    """Which shard of a file that is `shape`d so it brings; None if it is not as it was sent, or
    there is no such shard."""
    if len(datagram) != DATAGRAM_BYTES:
        return None
    at = OF_BYTES + _WHERE.size
    (told,) = _SUM.unpack_from(datagram, at)
    if crc32(datagram[HEAD_BYTES:], crc32(datagram[:at])) != told:
        return None
    column, row = _WHERE.unpack_from(datagram, OF_BYTES)
    slot = column * shape.rows + row
    is_sent = row < shape.rows and column < shape.k + shape.m
    if not is_sent or shape.filled <= slot < shape.k * shape.rows:
        return None
    return int(slot)


def bundle_of(of: bytes) -> bytes:
    """Whose datagrams begin so."""
    return of[len(MAGIC) : len(MAGIC) + 32]


def file_of(datagram: bytes) -> File | None:
    """Which file it is of; None if there can be no such file."""
    if len(datagram) != DATAGRAM_BYTES:
        return None
    magic, bundle, digest, size, kind, k, m = _OF.unpack_from(datagram)
    shape = Shape(size, k, m)
    if magic != MAGIC or kind not in BYTES_MIN or not BYTES_MIN[kind] <= size <= FILE_BYTES_MAX:
        return None
    return File(bundle, digest, kind, shape) if shape.is_possible() else None

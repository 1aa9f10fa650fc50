"""A file that is arriving: its shards on disk where they belong, and a mark for each that is there.

Shards are written before their marks, and marks now and then: after a kill some shards are asked of
the next pass again. What is wrong, by whatever cause, the file's digest tells at its end.
"""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from bastide.db import durable
from bastide.transfer.diode import erasure
from bastide.transfer.diode.datagram import ENVELOPE, File
from bastide.transfer.diode.erasure import SHARD_BYTES

PART = ".part"
SUFFIXES = (".chunk", ".envelope")
KEPT_SHARDS_MIN = 64  # of a part that has fewer, nothing is kept: its marks would cost more
BLOCK_BYTES = 512


class Part:
    """One file on its way, open. `lacking` counts the rows that cannot be given back yet."""

    def __init__(self, file: File, folder: Path) -> None:
        shape = file.shape
        self.file, self.path = file, part_path(file, folder)
        self.is_saved = True
        self._descriptor = os.open(
            self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        self._marks_at = shape.slots * SHARD_BYTES
        kept = os.pread(self._descriptor, shape.slots, self._marks_at)
        self.marks = bytearray(kept) + bytes(shape.slots - len(kept))
        zeros = shape.k * shape.rows - shape.filled  # they are known, and never sent
        self.marks[shape.filled : shape.filled + zeros] = b"\1" * zeros
        self.shards = len(self.marks) - self.marks.count(0) - zeros
        rows = [self.marks[row :: shape.rows] for row in range(shape.rows)]
        self._counts = [len(row) - row.count(0) for row in rows]
        self.lacking = sum(count < shape.k for count in self._counts)

    def put(self, slot: int, shard: bytes) -> None:
        """Keep a shard, unless it is here. Raises OSError."""
        if self.marks[slot]:
            return
        os.pwrite(self._descriptor, shard, slot * SHARD_BYTES)
        self.marks[slot] = 1
        self.shards += 1
        self.is_saved = False
        row = slot % len(self._counts)
        self._counts[row] += 1
        if self._counts[row] == self.file.shape.k:
            self.lacking -= 1

    def save(self) -> int:
        """Keep the marks too; answers what the part takes on disk."""
        if not self.is_saved:
            os.pwrite(self._descriptor, self.marks, self._marks_at)
            self.is_saved = True
        return os.fstat(self._descriptor).st_blocks * BLOCK_BYTES

    @property
    def is_worth_it(self) -> bool:
        return self.shards >= min(KEPT_SHARDS_MIN, self.file.shape.filled)

    def close(self) -> None:
        os.close(self._descriptor)


def part_path(file: File, folder: Path) -> Path:
    size, k, m = file.shape
    return folder / f"{file.digest.hex()}.{file.kind}-{size}-{k}-{m}{PART}"


def whole_path(file: File, folder: Path) -> Path:
    return folder / f"{file.digest.hex()}{SUFFIXES[file.kind == ENVELOPE]}"


def finish(
    file: File, folder: Path, marks: bytes | bytearray, is_wanted: Callable[[bytes], bool]
) -> bool:
    """Make the whole file of a part that lacks nothing. False, and all of it thrown away, if it is
    not what its name says, or not wanted."""
    path = part_path(file, folder)
    shape = file.shape
    data = bytearray(shape.slots * SHARD_BYTES)
    with path.open("rb") as part:
        part.readinto(data)
    erasure.recover(data, shape, marks)
    whole = bytes(memoryview(data)[: shape.size])
    is_it = sha256(whole).digest() == file.digest and is_wanted(whole)
    if is_it:
        durable.create(whole_path(file, folder), whole)
    path.unlink()
    return is_it

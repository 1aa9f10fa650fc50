"""A systematic Reed-Solomon code for erasures over GF(256), its parity by a Cauchy matrix.

A file lies in `k` columns end to end, each of `rows` shards; `m` columns of parity follow. Any `k`
shards of a row give the row back. As neighbours in the file are of different rows, a burst of up to
`m * rows` lost datagrams harms no row too much. Columns are multiplied as big integers, bit by bit
of their factors: what is added up for one column of parity serves all of them.
Source: J. Bloemer et al., An XOR-Based Erasure-Resilient Coding Scheme, ICSI TR-95-048.
"""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

SHARD_BYTES = 1200
K_MIN = 16  # of a file of more than one row
PARITY_MAX = 32
SLOTS_MAX = 1 << 18  # of 128 MiB, and as much parity
POLYNOMIAL = 0x11D
STRIP_BYTES = 1 << 16  # what is worked on at once: it fits the processor's cache
GROUP = 4  # columns whose 16 sums are made before they are asked for


class Unrecoverable(Exception):
    """More shards of a row are lost than its parity can give back."""


class Shape(NamedTuple):
    """How a file of `size` bytes lies in shards."""

    size: int
    k: int
    m: int

    @property
    def rows(self) -> int:
        return max(1, -(-self.size // (self.k * SHARD_BYTES)))

    @property
    def column_bytes(self) -> int:
        return self.rows * SHARD_BYTES

    @property
    def filled(self) -> int:
        """The shards that hold something of the file; those after it are zeros, and never sent."""
        return -(-self.size // SHARD_BYTES)

    @property
    def slots(self) -> int:
        return (self.k + self.m) * self.rows

    def is_possible(self) -> bool:
        """Whether a receiver takes the trouble: what a stranger may ask of it is bounded here."""
        is_bounded = 1 <= self.k <= 255 - PARITY_MAX and self.m <= PARITY_MAX
        if not is_bounded or (self.k < K_MIN and self.k * SHARD_BYTES < self.size):
            return False
        return self.slots <= SLOTS_MAX


def shape_of(size: int, k: int, m: int) -> Shape:
    """A small file has fewer columns than `k`, and the same parity."""
    return Shape(size, max(1, min(k, -(-size // SHARD_BYTES))), m)


def parity(data: bytes | bytearray, shape: Shape, wanted: Sequence[int]) -> list[bytes]:
    """The columns `wanted` of parity. `data` is the `k` columns, the last filled up with zeros."""
    masks = [_masks(shape.k, shape.m, which) for which in wanted]
    made: list[list[bytes]] = [[] for _ in wanted]
    length = shape.column_bytes
    for at in range(0, length, STRIP_BYTES):
        size = min(STRIP_BYTES, length - at)
        columns = [
            int.from_bytes(data[column * length + at : column * length + at + size], "little")
            for column in range(shape.k)
        ]
        sums, high = _sums(columns), int.from_bytes(b"\x80" * size, "little")
        for strips, rows in zip(made, masks, strict=True):
            strips.append(_combined(sums, rows, high).to_bytes(size, "little"))
    return [b"".join(strips) for strips in made]


def recover(data: bytearray, shape: Shape, have: bytes | bytearray) -> None:
    """Fill in what is lost of the first `k` columns. `data` holds all columns, `have` a nonzero
    byte for each shard that is there. Raises Unrecoverable."""
    lost = _lost(shape, have)
    if not lost:
        return
    for row, (missing, _) in lost.items():
        for column in missing:
            _put(data, shape, column, row, bytes(SHARD_BYTES))
    used = sorted({column for _, chosen in lost.values() for column in chosen})
    sums = dict(zip(used, parity(data, shape, used), strict=True))
    for row, (missing, chosen) in lost.items():
        start, end = row * SHARD_BYTES, (row + 1) * SHARD_BYTES
        rest = [
            _number(_shard(data, shape, shape.k + which, row)) ^ _number(sums[which][start:end])
            for which in chosen
        ]
        for column, factors in zip(missing, _solution(shape.k, missing, chosen), strict=True):
            found = 0
            for factor, part in zip(factors, rest, strict=True):
                found ^= _number(part.to_bytes(SHARD_BYTES, "little").translate(_times(factor)))
            _put(data, shape, column, row, found.to_bytes(SHARD_BYTES, "little"))


def _lost(
    shape: Shape, have: bytes | bytearray
) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Of each row with a loss: the columns that are missing, and as many of parity to use."""
    found: dict[int, list[int]] = {}
    for slot in _zeros(have, shape.filled):
        found.setdefault(slot % shape.rows, []).append(slot // shape.rows)
    lost = {}
    for row, missing in found.items():
        there = [which for which in range(shape.m) if have[(shape.k + which) * shape.rows + row]]
        if len(there) < len(missing):
            raise Unrecoverable
        lost[row] = (tuple(missing), tuple(there[: len(missing)]))
    return lost


def _zeros(have: bytes | bytearray, end: int) -> Iterator[int]:
    at = have.find(0, 0, end)
    while at >= 0:
        yield at
        at = have.find(0, at + 1, end)


def _shard(data: bytearray, shape: Shape, column: int, row: int) -> bytearray:
    at = (column * shape.rows + row) * SHARD_BYTES
    return data[at : at + SHARD_BYTES]


def _put(data: bytearray, shape: Shape, column: int, row: int, shard: bytes) -> None:
    at = (column * shape.rows + row) * SHARD_BYTES
    data[at : at + SHARD_BYTES] = shard


def _number(data: bytes | bytearray) -> int:
    return int.from_bytes(data, "little")


# Columns as big integers -------------------------------------------------------------------------


def _sums(columns: list[int]) -> list[list[int]]:
    """Of each group of columns, the sums of all its subsets, by the subset's mask."""
    made = []
    for at in range(0, len(columns), GROUP):
        sums = [0]
        for column in columns[at : at + GROUP]:
            sums += [one ^ column for one in sums]
        made.append(sums)
    return made


def _combined(sums: list[list[int]], rows: Sequence[Sequence[int]], high: int) -> int:
    """Horner's rule over the bits of the factors, the highest first."""
    found = 0
    for masks in rows:
        carried = found & high
        found = ((found ^ carried) << 1) ^ ((carried >> 7) * (POLYNOMIAL & 0xFF))
        for group, mask in zip(sums, masks, strict=True):
            found ^= group[mask]
    return found


@cache
def _masks(k: int, m: int, which: int) -> list[list[int]]:
    """For each bit of the factors, from the highest: of each group, who has that bit."""
    factors = [_factor(k, which, column) for column in range(k)]
    groups = [factors[at : at + GROUP] for at in range(0, k, GROUP)]
    return [
        [
            sum((factor >> bit & 1) << place for place, factor in enumerate(group))
            for group in groups
        ]
        for bit in range(7, -1, -1)
    ]


# The field ---------------------------------------------------------------------------------------


def _powers() -> list[int]:
    found, power = [], 1
    for _ in range(255):
        found.append(power)
        power = power << 1 ^ (POLYNOMIAL if power & 0x80 else 0)
    return found


EXP = _powers()
LOG = {power: exponent for exponent, power in enumerate(EXP)}


def times(one: int, other: int) -> int:
    return EXP[(LOG[one] + LOG[other]) % 255] if one and other else 0


def inverse(one: int) -> int:
    return EXP[-LOG[one] % 255]


@cache
def _times(factor: int) -> bytes:
    return bytes(times(factor, one) for one in range(256))


def _factor(k: int, which: int, column: int) -> int:
    """Cauchy: every square part of the matrix can be inverted, as no two of these are alike."""
    return inverse((k + which) ^ column)


@lru_cache(maxsize=4096)
def _solution(k: int, missing: tuple[int, ...], chosen: tuple[int, ...]) -> list[list[int]]:
    """The inverse of the part of the matrix that the missing columns and the chosen parity are
    in, by Gauss and Jordan."""
    size = len(missing)
    left = [[_factor(k, which, column) for column in missing] for which in chosen]
    right = [[int(one == other) for other in range(size)] for one in range(size)]
    for at in range(size):
        pivot = next(one for one in range(at, size) if left[one][at])
        for matrix in (left, right):
            matrix[at], matrix[pivot] = matrix[pivot], matrix[at]
        scale = inverse(left[at][at])
        for matrix in (left, right):
            matrix[at] = [times(scale, one) for one in matrix[at]]
        for row in range(size):
            factor = left[row][at]
            if row != at and factor:
                for matrix in (left, right):
                    matrix[row] = [
                        one ^ times(factor, pivoted)
                        for one, pivoted in zip(matrix[row], matrix[at], strict=True)
                    ]
    return right

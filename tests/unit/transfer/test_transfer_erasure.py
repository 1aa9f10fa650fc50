"""The erasure code: against multiplication by hand, and every loss that its parity can bear."""

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.transfer.diode import erasure
from bastide.transfer.diode.erasure import SHARD_BYTES, Shape, Unrecoverable, shape_of


def by_hand(one, other):
    """Multiplication in GF(256), a bit at a time."""
    found = 0
    for bit in range(8):
        if other >> bit & 1:
            found ^= one << bit
    for bit in range(14, 7, -1):
        if found >> bit & 1:
            found ^= 0x11D << (bit - 8)
    return found


def coded(data, shape):
    """All columns of a file."""
    columns = data + bytes(shape.k * shape.column_bytes - len(data))
    return bytearray(columns + b"".join(erasure.parity(columns, shape, range(shape.m))))


def without(coded, shape, lost):
    """What is there once the slots `lost` are not: rubbish in their places."""
    data, have = bytearray(coded), bytearray(b"\1" * shape.slots)
    for slot in lost:
        have[slot] = 0
        data[slot * SHARD_BYTES : (slot + 1) * SHARD_BYTES] = b"?" * SHARD_BYTES
    return data, have


def test_the_field_is_one():
    for one in range(1, 256):
        assert by_hand(one, erasure.inverse(one)) == 1
        for other in range(256):
            assert erasure.times(one, other) == by_hand(one, other)


@given(st.integers(1, 90_000), st.integers(1, 32), st.integers(1, 9), st.randoms())
@settings(max_examples=40, deadline=None)
def test_parity_is_the_product_with_the_matrix(size, k, m, chance):
    shape = shape_of(size, k, m)
    data = chance.randbytes(size)
    whole = coded(data, shape)
    at = chance.randrange(shape.column_bytes)
    column = [whole[i * shape.column_bytes + at] for i in range(shape.k)]
    for which in range(m):
        want = 0
        for i, byte in enumerate(column):
            factor = next(f for f in range(256) if by_hand(f, (shape.k + which) ^ i) == 1)
            want ^= by_hand(factor, byte)
        assert whole[(shape.k + which) * shape.column_bytes + at] == want


def test_any_k_shards_of_a_row_give_it_back():
    shape = shape_of(5 * SHARD_BYTES - 7, 5, 3)
    data = random.Random(1).randbytes(shape.size)
    whole = coded(data, shape)
    for lost in combinations(range(shape.slots), shape.m):
        harmed, have = without(whole, shape, lost)
        erasure.recover(harmed, shape, have)
        assert harmed[: shape.size] == data


@given(st.integers(1, 200_000), st.integers(16, 40), st.integers(0, 32), st.randoms())
@settings(max_examples=40, deadline=None)
def test_what_parity_can_bear_is_given_back_and_no_more(size, k, m, chance):
    shape = shape_of(size, k, m)
    data = chance.randbytes(size)
    rows = [list(range(row, shape.slots, shape.rows)) for row in range(shape.rows)]
    lost = [slot for row in rows for slot in chance.sample(row, m)]
    lost = [slot for slot in lost if not shape.filled <= slot < shape.k * shape.rows]
    harmed, have = without(coded(data, shape), shape, lost)
    erasure.recover(harmed, shape, have)
    assert harmed[:size] == data
    there = [slot for slot in rows[0] if slot < shape.filled and slot not in lost]
    parity_lost = sum(slot >= shape.k * shape.rows for slot in lost if slot % shape.rows == 0)
    too_many = there[: m - parity_lost + 1]
    if len(too_many) == m - parity_lost + 1:
        for slot in too_many:
            have[slot] = 0
        gone = sum(not have[slot] for slot in rows[0] if slot < shape.filled)
        if gone > m - parity_lost:
            with pytest.raises(Unrecoverable):
                erasure.recover(harmed, shape, have)


@pytest.mark.parametrize(
    ("shape", "possible"),
    [
        (Shape(8 << 20, 32, 8), True),
        (Shape(128 << 20, 32, 32), True),
        (Shape(1, 1, 32), True),
        (Shape(1, 0, 8), False),
        (Shape(1, 1, 33), False),  # what it would take to undo the loss of more
        (Shape(1, 224, 8), False),
        (Shape(128 << 20, 1, 8), False),  # a row for each datagram
        (Shape(1 << 31, 32, 8), False),
    ],
)
def test_what_a_stranger_may_ask_for_is_bounded(shape, possible):
    assert shape.is_possible() == possible

"""The sealed form: what went in comes out, and nothing else does."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.store import sealed
from bastide.store.sealed import CHUNK_SIZE, HEADER_SIZE, SEALED_CHUNK_SIZE, TAG_SIZE

DEK, SALT = bytes(range(32)), bytes(range(32, 64))
PLACE = sealed.Place(account="111122223333", label="", bucket="b", key=b"k", object_id="o", part=0)


def seal(plain, place=PLACE, dek=DEK):
    sealer = sealed.Sealer(dek, SALT, place)
    out = bytearray(sealed.sealed_size(len(plain)) - HEADER_SIZE)
    assert sealer.seal_into(plain, memoryview(out), last=True) == len(out)
    return sealer.header + bytes(out)


def unseal(blob, size, place=PLACE, dek=DEK):
    if len(blob) != sealed.sealed_size(size):
        raise sealed.Tampered("length")
    opener = sealed.Opener(dek, blob[:HEADER_SIZE], place, size)
    plain = bytearray(size)
    view, out = memoryview(blob)[HEADER_SIZE:], memoryview(plain)
    for index in range(sealed.chunks_of(size)):
        piece = view[index * SEALED_CHUNK_SIZE : (index + 1) * SEALED_CHUNK_SIZE]
        opener.open_into(index, piece, out[index * CHUNK_SIZE :])
    return bytes(plain)


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE, 3 * CHUNK_SIZE + 7]
)
def test_round_trip(size):
    plain = bytes(itertools.islice(itertools.cycle(range(251)), size))
    assert unseal(seal(plain), size) == plain


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks small enough to flip every single byte of three of them."""
    monkeypatch.setattr(sealed, "CHUNK_SIZE", 64)
    return 64


def small_unseal(blob, size, place=PLACE):
    opener = sealed.Opener(DEK, blob[:HEADER_SIZE], place, size)
    out, step = memoryview(bytearray(size)), 64 + TAG_SIZE
    for index in range(sealed.chunks_of(size)):
        piece = memoryview(blob)[HEADER_SIZE + index * step : HEADER_SIZE + (index + 1) * step]
        opener.open_into(index, piece, out[index * 64 :])
    return bytes(out)


def test_every_flipped_byte_is_refused(small_chunks):
    plain = bytes(range(150))
    blob = seal(plain)
    assert sealed.chunks_of(150) == 3
    assert small_unseal(blob, 150) == plain
    for at in range(len(blob)):
        bad = bytearray(blob)
        bad[at] ^= 1
        with pytest.raises(sealed.Tampered):
            small_unseal(bytes(bad), 150)


def test_a_flip_in_every_full_size_chunk_is_refused():
    plain = bytes(3 * CHUNK_SIZE)
    blob = seal(plain)
    for at in (HEADER_SIZE, HEADER_SIZE + SEALED_CHUNK_SIZE + 9, len(blob) - 1):
        bad = bytearray(blob)
        bad[at] ^= 0x80
        with pytest.raises(sealed.Tampered):
            unseal(bytes(bad), len(plain))


def test_truncation_append_and_swaps_are_refused(small_chunks):
    blob = seal(bytes(192))
    step = 64 + TAG_SIZE
    chunks = [blob[HEADER_SIZE + n * step : HEADER_SIZE + (n + 1) * step] for n in range(3)]
    head = blob[:HEADER_SIZE]
    for bad, size in [
        (head + chunks[0] + chunks[1], 128),
        (head + chunks[0], 64),
        (blob[:-5], 192),
        (blob + chunks[2], 256),
        (head + chunks[1] + chunks[0] + chunks[2], 192),
        (head + chunks[0] + chunks[0] + chunks[2], 192),
        (head[:-1], 192),
        (head, 0),
    ]:
        with pytest.raises(sealed.Tampered):
            small_unseal(bad, size)


@pytest.mark.parametrize(
    "other",
    [
        {"account": "999999999999"}, {"label": "SECRET"}, {"bucket": "c"}, {"key": b"l"},
        {"object_id": "p"}, {"part": 1},
    ],
)  # fmt: skip
def test_a_blob_opens_only_in_its_place(other):
    with pytest.raises(sealed.Tampered, match="not of this place"):
        unseal(seal(b"x" * 10), 10, place=replace(PLACE, **other))


def test_another_key_is_refused_by_the_commitment():
    with pytest.raises(sealed.Tampered, match="not under this key"):
        unseal(seal(b"x"), 1, dek=bytes(32))


@given(st.lists(st.binary(max_size=4), min_size=2, max_size=4))
def test_places_never_read_alike(parts):
    first = sealed._fields(*parts)
    moved = [parts[0] + parts[1][:1], parts[1][1:], *parts[2:]]
    assert (sealed._fields(*moved) == first) == (moved == parts)

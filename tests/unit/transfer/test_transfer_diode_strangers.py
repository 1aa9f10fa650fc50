"""What strangers send to the receiver of datagrams: it takes no room, and harms no bundle."""

import os
import random
import tracemalloc
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.diode_kit import DATA, Far, is_whole, stream
from tests.transfer_kit import HIGH, LOW, Held, gate_of, made

from bastide.transfer.diode import datagram as wire
from bastide.transfer.diode.__main__ import attempted
from bastide.transfer.diode.arrival import Limits
from bastide.transfer.diode.datagram import CHUNK, ENVELOPE
from bastide.transfer.diode.erasure import SHARD_BYTES, shape_of
from bastide.transfer.diode.incoming import ARRIVING, published_bytes
from bastide.transfer.diode.sending import datagrams
from bastide.transfer.dsse import Signer
from bastide.transfer.signing import Anchors


@given(st.binary(max_size=2 * wire.DATAGRAM_BYTES))
@settings(max_examples=200, deadline=None)
def test_bytes_that_are_no_datagram_leave_nothing(tmp_path_factory, data):
    far = Far(tmp_path_factory.mktemp("far")).take([data, wire.MAGIC + data])
    assert list((far.folder / ARRIVING).iterdir()) == []


@given(
    st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32),
    st.integers(0, (1 << 32) - 1), st.tuples(*[st.integers(0, 255)] * 4), st.integers(0, 65_535),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_header_is_kept_within_its_bounds(tmp_path_factory, bundle, digest, size, small, row):
    kind, k, m, column = small
    of = wire._OF.pack(wire.MAGIC, bundle, digest, size, kind, k, m)
    head = of + wire._WHERE.pack(column, row)
    forged = head + wire._SUM.pack(wire.crc32(b"x" * SHARD_BYTES, wire.crc32(head)))
    far = Far(tmp_path_factory.mktemp("far")).take([forged + b"x" * SHARD_BYTES])
    found = wire.file_of(forged + b"x" * SHARD_BYTES)
    assert found is None or (found.shape.slots <= 1 << 18 and found.shape.m <= 32)
    assert not any((far.folder / HIGH).iterdir())


def poisoned(bundle):
    """A shard of a true file that is not true, with a right sum."""
    one = next(one for one in stream(bundle) if wire.file_of(one).kind == CHUNK)
    shape = wire.file_of(one).shape
    return wire.packed(one[: wire.OF_BYTES], shape, 0, b"!" * SHARD_BYTES)


def test_a_poisoned_shard_costs_a_pass_and_nothing_more(far, bundle):
    far.take([poisoned(bundle), *stream(bundle)])
    assert not is_whole(far, bundle)
    far.take(stream(bundle))
    assert is_whole(far, bundle)


def test_who_came_first_with_many_shapes_of_a_chunk_keeps_it_out_no_longer_than_that(far, bundle):
    sent = stream(bundle)
    far.take(sent[:20])  # its envelope
    chunk = next(one for one in sent if wire.file_of(one).kind == CHUNK)
    for m in range(33):
        for k in (32, 48):
            shape = shape_of(len(DATA), k, m)
            of = wire.file_of(chunk)._replace(shape=shape).packed()
            far.take(wire.packed(of, shape, slot, b"!" * SHARD_BYTES) for slot in range(70))
    (arrival,) = far.arrivals._bundles.values()
    assert len(arrival.parts) == far.limits.files_max(arrival)
    far.take(sent)  # poisoned as well: this shape was one of them
    far.take(sent)
    assert is_whole(far, bundle)


def test_an_envelope_of_another_statement_is_thrown_away(far, low, bundle):
    other = made(low, Held("b", b"other"))
    name = bytes.fromhex(bundle.digest)
    data = (other.folder / "bundle.json").read_bytes()
    far.take(datagrams(name, data, ENVELOPE, 8))
    far.take(datagrams(name, b"no json" * 1000, ENVELOPE, 8))
    far.take(stream(bundle))
    assert is_whole(far, bundle)


def test_files_that_the_statement_does_not_name_are_thrown_away(far, bundle):
    name = bytes.fromhex(bundle.digest)
    far.take(datagrams(name, b"never asked for", CHUNK, 8))
    far.take(stream(bundle)[:9])  # the envelope
    place = far.folder / ARRIVING / bundle.digest
    assert {path.suffix for path in place.iterdir()} == {".envelope", ".json"}
    far.take(datagrams(name, b"nor this", CHUNK, 8))
    assert {path.suffix for path in place.iterdir()} == {".envelope", ".json"}
    far.take(stream(bundle))
    assert is_whole(far, bundle)


def test_what_is_for_another_region_or_too_large_is_not_kept(tmp_path, trust, bundle):
    elsewhere = Far(tmp_path / "elsewhere", trust, region="us-isob-east-1").take(stream(bundle))
    small = Far(tmp_path / "small", trust, limits=Limits(bytes_max=1000)).take(stream(bundle))
    for far, why in ((elsewhere, f"for region {HIGH}"), (small, "more than 1000")):
        assert why in far.states()[bundle.digest]
        assert far.kept()[1] == {".part", ".json", ""}  # what came before it was known


def flood(count):
    """The first datagram of many bundles."""
    for number in range(count):
        name = number.to_bytes(32, "big")
        yield next(datagrams(name, DATA + name, CHUNK, 8))


@pytest.mark.parametrize("sources", [1, 500])
def test_a_flood_of_bundles_washes_itself_away(tmp_path, trust, bundle, sources):
    far = Far(tmp_path / "far", trust, limits=Limits(bytes_max=1 << 24, bundles_max=8, open_max=4))
    sent = stream(bundle)
    for at in range(20, len(sent), 20):  # the envelope, then never enough to be kept at a closing
        far.take(sent[at - 20 : at])
        for number, one in enumerate(flood(50)):
            far.arrivals.take(one, f"10.6.{number % sources // 256}.{number % sources % 256}")
        assert len(list((far.folder / ARRIVING).iterdir())) <= 8 + 1
    far.take(sent[at:])
    assert is_whole(far, bundle)


@pytest.mark.parametrize(("open_max", "kept"), [(32, 10), (4, 4)])  # of one shard, none is kept
def test_files_of_a_bundle_that_nobody_knows_are_bounded(tmp_path, open_max, kept):
    limits = Limits(bytes_max=1 << 24, strange_files_max=10, open_max=open_max)
    far, name = Far(tmp_path / "far", limits=limits), bytes(32)
    for number in range(50):
        far.take([next(datagrams(name, DATA + bytes([number]), CHUNK, 8))])
    assert len(list((far.folder / ARRIVING / name.hex()).glob("*.part"))) == kept


def test_more_than_there_is_room_for_goes_again(tmp_path, low, trust, bundle):
    far = Far(tmp_path / "far", trust, limits=Limits(bytes_max=200_000))
    for number in range(8):
        sent = stream(made(low, Held("a", number.to_bytes(2, "big") + DATA)))
        far.take(sent[:110], f"10.0.0.{number}")
    assert far.kept()[0] <= 2 * 200_000 + 8 * 4096  # of what is told of each
    far.take(stream(bundle))
    assert is_whole(far, bundle)


def test_strangers_have_a_room_of_their_own_and_fill_it_with_nothing_else(tmp_path, trust, bundle):
    limits = Limits(bytes_max=1 << 24, strange_bytes_max=400_000)
    far, sent = Far(tmp_path / "far", trust, limits=limits), stream(bundle)
    far.take(sent[:110])
    for number in range(20):
        data = number.to_bytes(2, "big") + DATA
        for kind in (CHUNK, ENVELOPE):
            some = list(datagrams(number.to_bytes(32, "big"), data, kind, 8))[:90]
            far.take(some, f"10.0.0.{number}")
    assert 0 < sum(one.bytes for one in far.arrivals._strangers()) <= 400_000
    far.take(sent[110:])
    assert is_whole(far, bundle)


def test_what_nothing_more_comes_of_goes_in_the_end(far, bundle):
    far.take(stream(bundle)[:60])
    far.clock.advance(far.limits.age_s - 10)
    assert far.take([]).states() != {}
    far.clock.advance(20)
    assert far.take([]).states() == {}


def test_what_nobody_signed_goes_much_sooner(far, bundle):
    far.take(stream(bundle)[-60:-30])
    assert far.states() != {}
    far.clock.advance(far.limits.strange_age_s + 1)
    assert far.take([]).states() == {}


def test_ends_of_files_are_asked_for_by_turns_and_of_what_is_forgotten_no_more(tmp_path):
    """Each is a whole envelope of a new bundle, faster than any signature is checked."""
    limits = Limits(bytes_max=1 << 24, bundles_max=8)
    far = Far(tmp_path / "far", limits=limits)
    far.arrivals.hands = Never()
    for number in range(200):
        name = number.to_bytes(32, "big")
        for one in datagrams(name, name * 200, ENVELOPE, 1):
            far.arrivals.take(one, "10.6.6.6")
    assert 8 <= len(far.arrivals._ending) <= 8 + 1
    first = next(iter(far.arrivals._queue))
    for number in range(50):  # one more bundle with many of them does not make it wait
        for one in datagrams(name, bytes([number]) * 6400, ENVELOPE, 1):
            far.arrivals.take(one, "10.6.6.6")
    assert next(iter(far.arrivals._queue)) == first
    assert sum(map(len, far.arrivals._queue.values())) <= 8 + limits.strange_files_max


class Later:
    """Work that ends when `is_open`."""

    is_open, work = False, None

    def begin(self, work):
        self.work = work

    def ended(self):
        return attempted(self.work) if self.is_open else None


class Dying:
    """Work whose process dies."""

    def begin(self, work):
        pass

    def ended(self):
        return False


class Never:
    """Work that does not end."""

    def begin(self, work):
        pass

    def ended(self):
        return None


def test_no_file_of_a_bundle_that_nobody_knows_is_made_whole(tmp_path):
    far, name = Far(tmp_path / "far"), bytes(32)
    for number in range(50):
        far.take(datagrams(name, bytes([number]), CHUNK, 1))
    assert {path.suffix for path in (far.folder / ARRIVING / name.hex()).iterdir()} == {
        ".part", ".json"
    }  # fmt: skip


def test_of_a_bundle_that_nobody_knows_few_shards_are_kept(tmp_path, low):
    far, large = Far(tmp_path / "far"), made(low, Held("a", os.urandom(4 << 20)))
    chunks = [one for one in stream(large) if wire.file_of(one).kind == CHUNK]
    for _ in range(2):
        far.again().take(chunks)
        (arrival,) = far.arrivals._bundles.values()
        assert arrival.early_shards == far.limits.strange_shards_max
        assert far.kept()[0] < 2 << 20


def envelopes_of_strangers(low, bundle, tmp_path):
    """Everything that a bundle has, but for what the two signatures say."""
    payload = low.signer.public.open((bundle.folder / "bundle.json").read_bytes())
    other = gate_of(tmp_path / "other", "us-west-2", "U", seed=3).signer
    half = Signer(ecdsa=low.signer.ecdsa, mldsa=other.mldsa)
    half_too = Signer(ecdsa=other.ecdsa, mldsa=low.signer.mldsa)
    yield from (signer.sign(payload) for signer in (other, half, half_too))
    one_is_false = bytearray(low.signer.sign(payload))
    # Within the ML-DSA signature's text, which stays base64.
    one_is_false[-100] = ord("B") if one_is_false[-100] == ord("A") else ord("A")
    yield bytes(one_is_false)


def test_what_two_trusted_keys_did_not_sign_takes_no_room(far, low, bundle, tmp_path):
    name = bytes.fromhex(bundle.digest)
    chunks = [one for one in stream(bundle) if wire.file_of(one).kind == CHUNK]
    for envelope in envelopes_of_strangers(low, bundle, tmp_path):
        far.take([*datagrams(name, envelope, ENVELOPE, 8), *chunks])
        state = far.states()[bundle.digest]
        assert any(why in state for why in ("two signatures", "not hold")), state
        assert far.kept()[1] == {".part", ".json", ""}
    far.take(stream(bundle))
    assert is_whole(far, bundle)


def test_whose_region_is_not_trusted_takes_no_room_until_it_is(far, low, bundle, tmp_path):
    stranger = gate_of(tmp_path / "stranger", "us-west-2", "U", seed=3)
    theirs = made(stranger, Held("a", DATA))
    far.take(stream(theirs))
    assert "'us-west-2' is not trusted here" in far.states()[theirs.digest]
    assert far.kept()[1] == {".part", ".json", ""}
    far.trust = Anchors([stranger.anchor()])
    far.again().take([*stream(theirs)[:100], *stream(bundle)[:100]])
    assert is_whole(far, theirs)
    assert far.kept()[1] >= {".part"}


def test_what_was_begun_by_an_anchor_that_is_another_now_is_thrown_away(far, bundle, tmp_path):
    far.take(stream(bundle)[:100])
    assert ".envelope" in far.kept()[1]
    far.trust = Anchors([gate_of(tmp_path / "new", LOW, "U", seed=5).anchor()])
    far.again()
    assert far.states() == {}
    assert far.kept() == (0, set())


def test_two_envelopes_of_one_statement_are_one(far, low, bundle):
    """The second came in whole while the first one's signatures were checked."""
    name, data = bytes.fromhex(bundle.digest), (bundle.folder / "bundle.json").read_bytes()
    again = low.signer.sign(low.signer.public.open(data))
    far.arrivals.hands = hands = Later()
    for one in [*datagrams(name, data, ENVELOPE, 8), *datagrams(name, data, ENVELOPE, 4),
                *datagrams(name, again, ENVELOPE, 8)]:  # fmt: skip
        far.arrivals.take(one, "10.0.0.1")
    hands.is_open = True
    far.take(stream(bundle))
    assert is_whole(far, bundle)


def test_no_more_is_laid_into_the_spool_than_there_is_room_for(tmp_path, low, trust):
    far = Far(tmp_path / "far", trust, limits=Limits(bytes_max=200_000))
    for number in range(6):  # all of them between two looks at the room
        for one in stream(made(low, Held("a", bytes([number])))):
            far.arrivals.take(one, "10.6.6.6")
    laid = list((far.folder / HIGH).iterdir())
    assert published_bytes(far.folder / HIGH) <= 2 * 200_000
    assert len(laid) == 5


def test_what_nobody_knows_gives_way_to_what_has_begun_later(tmp_path, trust, bundle):
    """One source holds nearly all the room with files of no bundle, and never ends it."""
    limits = Limits(bytes_max=1 << 20, strange_bytes_max=1 << 20)
    far = Far(tmp_path / "far", trust, limits=limits)
    for number in range(16):
        data = random.Random(number).randbytes(150_000)
        far.take(list(datagrams(bytes(32), data, CHUNK, 8))[:100], "10.6.6.6")
    sent = stream(bundle)
    for at in range(0, len(sent), 20):
        far.take(sent[at : at + 20])
    assert is_whole(far, bundle)


def test_what_a_statement_says_of_its_items_is_not_kept_in_memory(far, low):
    """Envelopes are up to 128 MiB, and a dict of short names takes eight times its text."""
    said = {f"x-{number}": "" for number in range(20_000)}
    sent = stream(made(low, Held("a", DATA, tags=said)))
    tracemalloc.start()
    try:
        far.take(one for one in sent if wire.file_of(one).kind == ENVELOPE)
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
    (arrival,) = far.arrivals._bundles.values()
    assert arrival.statement is not None


def test_an_envelope_that_came_as_a_chunk_is_still_taken(far, bundle):
    data = (bundle.folder / "bundle.json").read_bytes()
    far.take(datagrams(bytes.fromhex(bundle.digest), data, CHUNK, 8))
    far.take(stream(bundle))
    assert far.there(bundle).exists()


def test_an_envelope_that_was_whole_when_the_receiver_was_killed_is_still_taken(far, bundle):
    far.arrivals.hands = Never()
    envelope = barely(bytes.fromhex(bundle.digest), *envelope_of(bundle))
    far.take(envelope)
    far.again().take(envelope[:1])
    assert ".envelope" in far.kept()[1]
    far.take(stream(bundle))
    assert is_whole(far, bundle)


def barely(bundle, data, kind):
    """The datagrams of a file, and none more than it takes."""
    sent = list(datagrams(bundle, data, kind, 8))
    return sent[: wire.file_of(sent[0]).shape.filled]


def envelope_of(bundle):
    return (bundle.folder / "bundle.json").read_bytes(), ENVELOPE


@pytest.mark.parametrize("inside", [b"[" * 100_000, b"{}", b'{"origin":{"region":7}}', b"\xff"])
def test_a_statement_that_is_none_is_thrown_away(far, low, inside):
    payload = b'{"predicate":' + inside
    name = sha256(payload).digest()
    for _ in range(2):
        far.take(barely(name, low.signer.sign(payload), ENVELOPE))
        assert "malformed" in far.states()[name.hex()]
        assert far.kept()[1] == {".json", ""}


def test_of_a_check_that_itself_dies_nothing_is_left(far, bundle):
    far.arrivals.hands = Dying()
    far.take(barely(bytes.fromhex(bundle.digest), *envelope_of(bundle)))
    assert far.kept()[1] == {".json"}
    far.again().take(stream(bundle))
    assert is_whole(far, bundle)

"""Bundles as datagrams: whatever wire and strangers do, what is in the spool is the bundle."""

import os
import random
import tracemalloc
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lossy import Weather
from tests.transfer_kit import HIGH, LOW, Held, gate_of, made, took, trusting

from bastide.kernel.clock import ManualClock
from bastide.transfer.diode import datagram as wire
from bastide.transfer.diode.__main__ import attempted
from bastide.transfer.diode.arrivals import Arrivals, Limits
from bastide.transfer.diode.datagram import CHUNK, ENVELOPE, HEAD_BYTES
from bastide.transfer.diode.erasure import SHARD_BYTES, shape_of
from bastide.transfer.diode.incoming import ARRIVING, STATE, Incoming, published_bytes
from bastide.transfer.diode.sending import Pace, datagrams, files, link_of
from bastide.transfer.model import Refused

DATA = random.Random(7).randbytes(150_000)  # four rows


class Here:
    """Work that is done at once."""

    how = None

    def begin(self, work):
        self.how = attempted(work)

    def ended(self):
        return self.how


@dataclass
class Far:
    """The receiving end of a test; `again()` is a kill and a new start."""

    folder: object
    region: str = HIGH
    limits: Limits = field(default_factory=lambda: Limits(bytes_max=1 << 24))
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self):
        self.again()

    def again(self):
        self.arrivals = Arrivals(folder=self.folder, region=self.region, limits=self.limits,
                                 clock=self.clock, hands=Here())  # fmt: skip
        self.arrivals.load()
        return self

    def take(self, datagrams, source="10.0.0.1"):
        for one in datagrams:
            self.arrivals.take(one, source)
        self.clock.advance(1)
        self.arrivals.tend()
        return self

    def states(self):
        return {row["bundle"]: row["state"] for row in Incoming(self.folder, self.region).rows()}

    def there(self, bundle):
        return self.folder / self.region / bundle.digest


@pytest.fixture(scope="module")
def low(tmp_path_factory):
    return gate_of(tmp_path_factory.mktemp("low"), LOW, "U")


@pytest.fixture(scope="module")
def bundle(low):
    return made(low, Held("a", DATA))


@pytest.fixture
def far(tmp_path):
    return Far(tmp_path / "incoming")


def stream(bundle, parity=8):
    return [one for _, found in files(bundle, parity) for one in found]


def is_whole(far, bundle):
    """Whether it is there; and if so, it must be the bundle and nothing else."""
    place = far.there(bundle)
    if not place.exists():
        return False
    want = {path.name: path.read_bytes() for path in bundle.folder.iterdir()}
    assert {path.name: path.read_bytes() for path in place.iterdir()} == want
    assert not (far.folder / ARRIVING / bundle.digest).exists()
    return True


def test_what_came_as_datagrams_is_taken_in_as_from_any_spool(far, low, bundle, tmp_path):
    far.take(stream(bundle))
    assert is_whole(far, bundle)
    assert far.states()[bundle.digest].startswith("arrived")
    high = gate_of(tmp_path / "high", HIGH, "S")
    trusting(high, low)
    assert took(high, far.folder) == [bundle.digest]
    Incoming(far.folder, HIGH).clear(bundle.digest, is_taken=True)
    assert far.states() == {}
    assert took(high, far.folder) == []
    far.take(stream(bundle))  # its second pass is not kept
    assert list((far.folder / ARRIVING).iterdir()) == []


@given(st.builds(
    Weather,
    lost=st.sampled_from([0, 0.02, 0.1]), doubled=st.sampled_from([0, 0.3]),
    harmed=st.sampled_from([0, 0.1]), cut=st.sampled_from([0, 0.1]),
    mixed=st.sampled_from([1, 7, 1000]), burst=st.sampled_from([0, 12]),
    seed=st.integers(0, 1 << 32),
))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_whatever_the_wire_does_it_is_the_bundle_or_not_there(
    low, bundle, tmp_path_factory, weather
):
    far, sent = Far(tmp_path_factory.mktemp("far")), stream(bundle)
    came = list(weather.through(sent))
    good = set(came) & set(sent)
    far.take(came)
    assert is_whole(far, bundle) == enough(bundle, good)
    weather.seed += 1  # a second pass fills the gaps of the first
    came = list(weather.through(sent))
    far.again().take(came)
    if enough(bundle, (set(came) & set(sent)) | good):
        assert is_whole(far, bundle)


def enough(bundle, good):
    """By counting: whether every row of every file has as many shards as it has columns."""
    for _, found in files(bundle, 8):
        sent = list(found)
        shape = wire.file_of(sent[0]).shape
        zeros = range(shape.filled, shape.k * shape.rows)
        slots = {wire.slot_of(one, shape) for one in sent if one in good} | set(zeros)
        for row in range(shape.rows):
            if sum(slot % shape.rows == row for slot in slots) < shape.k:
                return False
    return True


def test_a_burst_as_long_as_all_parity_is_given_back(far, bundle):
    sent = stream(bundle)
    chunk = [one for one in sent if wire.file_of(one).kind == CHUNK]
    shape = wire.file_of(chunk[0]).shape
    burst = set(chunk[10 : 10 + shape.m * shape.rows])
    far.take(one for one in sent if one not in burst)
    assert is_whole(far, bundle)


def test_what_is_missing_is_told_and_a_second_pass_brings_it(far, bundle):
    sent = stream(bundle)
    chunk = [one for one in sent if wire.file_of(one).kind == CHUNK]
    shape = wire.file_of(chunk[0]).shape
    first_row = [one for one in chunk if wire.slot_of(one, shape) % shape.rows == 0]
    lost = set(first_row[: shape.m + 1])
    far.take(one for one in sent if one not in lost)
    state = f"incomplete: 1 of 2 files; missing: 00000000.chunk (1 of {shape.rows} rows)"
    assert far.states() == {bundle.digest: state}
    far.again()
    assert far.states() == {bundle.digest: state}
    far.take([*lost][:1])
    assert is_whole(far, bundle)


def test_without_the_envelope_it_is_told_so(far, bundle):
    sent = [one for one in stream(bundle) if wire.file_of(one).kind == CHUNK]
    far.take(sent)
    assert far.states() == {bundle.digest: "incomplete: 1 files; missing: the envelope"}
    far.again().take(stream(bundle)[:20])
    assert is_whole(far, bundle)


def test_another_parity_fills_gaps_with_the_files_that_are_whole(far, low):
    bundle = made(low, Held("a", DATA), Held("b", os.urandom(9 << 20)))
    found = [list(one) for _, one in files(bundle, 4)]
    far.take(one for number in (0, 1) for one in found[number])
    far.take(stream(bundle, parity=1))
    assert is_whole(far, bundle)


# What strangers send -----------------------------------------------------------------------------


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


def test_an_envelope_of_another_statement_is_thrown_away(far, low, bundle):
    other = made(low, Held("b", b"other"))
    name = bytes.fromhex(bundle.digest)
    data = (other.folder / "bundle.json").read_bytes()
    far.take(datagrams(name, data, ENVELOPE, 8))
    far.take(datagrams(name, b"no json", ENVELOPE, 8))
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


def test_what_is_for_another_region_or_too_large_is_not_kept(tmp_path, low, bundle):
    elsewhere = Far(tmp_path / "elsewhere", region="us-isob-east-1").take(stream(bundle))
    small = Far(tmp_path / "small", limits=Limits(bytes_max=1000)).take(stream(bundle))
    for far in (elsewhere, small):
        assert far.states() == {}
        assert list((far.folder / ARRIVING).iterdir()) == []


def flood(count):
    """The first datagram of many bundles."""
    for number in range(count):
        name = number.to_bytes(32, "big")
        yield next(datagrams(name, DATA + name, CHUNK, 8))


def test_a_flood_of_bundles_washes_itself_away(tmp_path, bundle):
    far = Far(tmp_path / "far", limits=Limits(bytes_max=1 << 24, bundles_max=8))
    sent = stream(bundle)
    far.take(sent[:100])
    far.take(flood(500), "10.6.6.6")
    assert len(list((far.folder / ARRIVING).iterdir())) <= 8
    far.take(sent[100:])
    assert is_whole(far, bundle)


@pytest.mark.parametrize(("open_max", "kept"), [(32, 10), (4, 4)])  # of one shard, none is kept
def test_files_of_a_bundle_that_nobody_knows_are_bounded(tmp_path, open_max, kept):
    limits = Limits(bytes_max=1 << 24, parts_max=10, open_max=open_max)
    far, name = Far(tmp_path / "far", limits=limits), bytes(32)
    for number in range(50):
        far.take([next(datagrams(name, DATA + bytes([number]), CHUNK, 8))])
    assert len(list((far.folder / ARRIVING / name.hex()).glob("*.part"))) == kept


def test_more_than_there_is_room_for_goes_again(tmp_path, low, bundle):
    far = Far(tmp_path / "far", limits=Limits(bytes_max=200_000))
    for number in range(20):
        data = number.to_bytes(2, "big") + DATA
        far.take(
            list(datagrams(number.to_bytes(32, "big"), data, CHUNK, 8))[:90], f"10.0.0.{number}"
        )
    held = sum(path.stat().st_blocks * 512 for path in far.folder.rglob("*.part"))
    assert held <= 2 * 200_000
    far.take(stream(bundle))
    assert is_whole(far, bundle)


def test_what_nothing_more_comes_of_goes_in_the_end(far, bundle):
    far.take(stream(bundle)[:60])
    far.clock.advance(far.limits.age_s - 10)
    assert far.take([]).states() != {}
    far.clock.advance(20)
    assert far.take([]).states() == {}


def test_ends_of_files_are_asked_for_by_turns_and_of_what_is_forgotten_no_more(tmp_path):
    """Each datagram is a whole file of a new bundle, faster than any work is done."""
    limits = Limits(bytes_max=1 << 24, bundles_max=8)
    far = Far(tmp_path / "far", limits=limits)
    far.arrivals.hands = Never()
    for number in range(200):
        name = number.to_bytes(32, "big")
        far.arrivals.take(next(datagrams(name, name, CHUNK, 1)), "10.6.6.6")
    assert len(far.arrivals._ending) <= 8 + 1
    first = next(iter(far.arrivals._queue))
    for number in range(50):  # one more bundle with many of them does not make it wait
        far.arrivals.take(next(datagrams(name, bytes([number]), CHUNK, 1)), "10.6.6.6")
    assert next(iter(far.arrivals._queue)) == first
    assert sum(map(len, far.arrivals._queue.values())) <= 8 + 50


class Never:
    """Work that does not end."""

    def begin(self, work):
        pass

    def ended(self):
        return None


def test_whole_files_of_a_bundle_that_nobody_knows_are_bounded_too(tmp_path):
    limits = Limits(bytes_max=1 << 24, parts_max=10)
    far, name = Far(tmp_path / "far", limits=limits), bytes(32)
    for number in range(50):
        far.take(datagrams(name, bytes([number]), CHUNK, 1))
    assert len(list((far.folder / ARRIVING / name.hex()).glob("*.chunk"))) == 10


def test_no_more_is_laid_into_the_spool_than_there_is_room_for(tmp_path, low):
    far = Far(tmp_path / "far", limits=Limits(bytes_max=200_000))
    for number in range(6):  # all of them between two looks at the room
        for one in stream(made(low, Held("a", bytes([number])))):
            far.arrivals.take(one, "10.6.6.6")
    laid = list((far.folder / HIGH).iterdir())
    assert published_bytes(far.folder / HIGH) <= 2 * 200_000
    assert len(laid) == 5


def test_what_nobody_knows_gives_way_to_what_has_begun_later(tmp_path, bundle):
    """One source holds nearly all the room with files of no bundle, and never ends it."""
    far = Far(tmp_path / "far", limits=Limits(bytes_max=1 << 20))
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


# What the region does with it --------------------------------------------------------------------


def test_clearing_follows_no_link_that_a_receiver_laid(far, tmp_path, bundle):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "master.key").write_text("secret")
    incoming = Incoming(far.folder, HIGH)
    (far.folder / HIGH / ("a" * 64)).symlink_to(kept)
    for is_taken in (True, False):
        with pytest.raises(OSError, match=r"directory|symbolic link"):
            incoming.clear("a" * 64, is_taken=is_taken)
    (far.folder / HIGH / ("a" * 64)).unlink()
    (far.folder / HIGH).rmdir()
    (far.folder / HIGH).symlink_to(tmp_path)
    with pytest.raises(OSError, match="directory"):
        incoming.clear("kept", is_taken=True)
    assert (kept / "master.key").read_text() == "secret"


def test_a_state_that_is_none_is_not_shown(far, bundle):
    far.take(stream(bundle)[:60])
    for told in (b"", b"[]", b'{"files": 1e9}', b"\xff", b"{" * 40_000):
        (far.folder / ARRIVING / bundle.digest / STATE).write_bytes(told)
        assert far.states() == {}


def test_no_more_is_sent_than_the_rate_allows():
    clock, slept = ManualClock(), []

    def sleep(seconds):
        slept.append(seconds)
        clock.advance(seconds)

    pace = Pace(bytes_per_s=1_000_000, clock=clock, sleep=sleep)
    for _ in range(100):
        pace.wait(1000)
    assert clock.monotonic_s() == pytest.approx(0.1, abs=0.003)
    clock.advance(5)  # what was missed is not caught up
    at = clock.monotonic_s()
    for _ in range(100):
        pace.wait(1000)
    assert clock.monotonic_s() - at == pytest.approx(0.1, abs=0.003)


@pytest.mark.parametrize(
    "wrong",
    [{"udp": "host"}, {"udp": ":1"}, {"udp": "h:0"}, {"udp": "h:65536"}, {"udp": "h:x"},
     {"rate_mbit": 0}, {"passes": 101}, {"parity": 33}, {"parity": 0}],
)  # fmt: skip
def test_a_way_that_is_none_is_refused(wrong):
    way = {"udp": "[::1]:7000", "rate_mbit": 80, "passes": 1, "parity": 8}
    assert link_of(way, ManualClock()).host == "::1"
    with pytest.raises(Refused):
        link_of(way | wrong, ManualClock())


def test_a_datagram_fits_the_wire():
    assert wire.DATAGRAM_BYTES <= 1472
    assert len(next(datagrams(bytes(32), b"x", CHUNK, 8))) == HEAD_BYTES + SHARD_BYTES
    assert shape_of(8 << 20, 32, 8).rows == 219

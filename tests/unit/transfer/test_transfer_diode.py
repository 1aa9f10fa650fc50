"""Bundles as datagrams: whatever the wire does, what is in the spool is the bundle."""

import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.diode_kit import DATA, Far, is_whole, stream
from tests.lossy import Weather
from tests.transfer_kit import HIGH, Held, gate_of, made, took, trusting

from bastide.kernel.clock import ManualClock
from bastide.transfer.diode import datagram as wire
from bastide.transfer.diode.datagram import CHUNK, HEAD_BYTES
from bastide.transfer.diode.erasure import SHARD_BYTES, shape_of
from bastide.transfer.diode.incoming import ARRIVING, STATE, Incoming
from bastide.transfer.diode.sending import Pace, datagrams, files, link_of
from bastide.transfer.model import Refused


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
    trust, bundle, tmp_path_factory, weather
):
    far, sent = Far(tmp_path_factory.mktemp("far"), trust), stream(bundle)
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
    assert far.states() == {bundle.digest: "incomplete: 0 files; missing: the envelope"}
    far.again().take(stream(bundle)[:20])
    assert is_whole(far, bundle)


def test_another_parity_fills_gaps_with_the_files_that_are_whole(far, low):
    bundle = made(low, Held("a", DATA), Held("b", os.urandom(9 << 20)))
    found = [list(one) for _, one in files(bundle, 4)]
    far.take(one for number in (0, 1) for one in found[number])
    far.take(stream(bundle, parity=1))
    assert is_whole(far, bundle)


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


def test_a_name_that_becomes_another_address_is_another_way(monkeypatch):
    """People release a bundle for a way before it is sent, and who serves names sends nothing."""
    way = {"udp": "diode.example:7000", "rate_mbit": 80, "passes": 1, "parity": 8}
    for address in ("192.0.2.1", "192.0.2.66"):
        found = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (address, 7000))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, found=found, **__: found)
        assert link_of(way, ManualClock()).host == address


def test_a_datagram_fits_the_wire():
    assert wire.DATAGRAM_BYTES <= 1472
    assert len(next(datagrams(bytes(32), b"x", CHUNK, 8))) == HEAD_BYTES + SHARD_BYTES
    assert shape_of(8 << 20, 32, 8).rows == 219

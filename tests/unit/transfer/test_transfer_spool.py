"""The spool: what is not whole, not vouched for, not for here or not new does not come in."""

import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import Future

import msgspec
import pytest
from tests.transfer_kit import (
    HIGH,
    LOW,
    Crowd,
    Held,
    as_dict,
    changed,
    gate_of,
    made,
    sent,
    took,
    trusting,
)

from bastide.operators.transfer import TransferRoom
from bastide.transfer.model import CHUNK_BYTES, Origin, Refused
from bastide.transfer.signing import TrustStore, anchor_of, read_anchor
from bastide.transfer.spool import Seen

BIG = bytes(range(256)) * (3 * CHUNK_BYTES // 256)


@pytest.fixture
def low(tmp_path):
    return gate_of(tmp_path / "low", LOW, "U")


@pytest.fixture
def high(tmp_path, low):
    high = gate_of(tmp_path / "high", HIGH, "S")
    trusting(high, low)
    trusting(low, high)
    return high


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def test_a_bundle_goes_over_once(low, high, spool):
    bundle = made(low, Held("a", b"x"), Held("big", BIG))
    place = sent(low, bundle, spool)
    assert took(high, spool) == [bundle.digest]
    assert took(high, spool) == []
    *_, last = high.inspect(bundle.digest[:8])
    assert last["result"]["items"] == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o644}


def test_sending_goes_on_where_it_was(low, high, spool):
    bundle = made(low, Held("big", BIG))
    steps = low.send(bundle.digest, spool)
    next(steps)
    steps.close()
    assert list(high.receiver.waiting(spool)) == []  # the envelope comes last
    (first,) = (spool / HIGH / bundle.digest).glob("*.chunk")
    before = first.stat()
    sent(low, bundle, spool)
    assert first.stat().st_ino == before.st_ino
    assert took(high, spool) == [bundle.digest]


def test_receiving_goes_on_where_it_was(low, high, spool, tmp_path):
    bundle = made(low, Held("big", BIG))
    sent(low, bundle, spool)
    steps = high.receiver.take(spool, bundle.digest)
    next(steps)
    steps.close()
    assert high.receiver.arrived.digests() == []
    (first,) = (tmp_path / "high" / "arrived").rglob("*.chunk")
    before = first.stat()
    assert took(high, spool) == [bundle.digest]
    (found,) = (tmp_path / "high" / "arrived").rglob("00000000.chunk")
    assert found.stat().st_ino == before.st_ino


def test_a_crash_before_the_ledger_was_written(low, high, spool, tmp_path):
    bundle = made(low, Held("a", b"x"))
    sent(low, bundle, spool)
    took(high, spool)
    (tmp_path / "high" / "ledger" / bundle.digest).unlink()
    assert took(high, spool) == [bundle.digest]


def test_what_was_received_and_cleared_away_never_comes_again(low, high, spool):
    bundle = made(low, Held("a", b"x"))
    place = sent(low, bundle, spool)
    took(high, spool)
    shutil.rmtree(high.receiver.arrived.folder / bundle.digest)
    payload = low.signer.public.open((place / "bundle.json").read_bytes())
    (place / "bundle.json").write_bytes(low.signer.sign(payload))  # other signatures, same words
    assert took(high, spool) == []
    with pytest.raises(Refused, match="was received before"):
        list(high.receiver.take(spool, bundle.digest))


def test_what_is_for_another_region_is_refused(low, high, spool, tmp_path):
    other = gate_of(tmp_path / "other", "us-isob-east-1", "S")
    trusting(low, other)
    bundle = made(low, Held("a", b"x"), to="us-isob-east-1")
    shutil.move(sent(low, bundle, spool), spool / HIGH / bundle.digest)
    with pytest.raises(Refused, match="for region us-isob-east-1"):
        took(high, spool)


def test_a_link_that_is_laid_elsewhere_is_another_way(low, high, spool, tmp_path):
    bundle, link = made(low, Held("a", b"x")), tmp_path / "link"
    spool.mkdir()
    link.symlink_to(spool)
    sent(low, bundle, link)
    low.releases.agree.args[0].people.clear()  # nobody signs from now on
    sent(low, bundle, spool)
    link.unlink()
    link.symlink_to(tmp_path / "mine")
    with pytest.raises(Refused, match="2 people must approve"):
        sent(low, bundle, link)
    assert not (tmp_path / "mine").exists()


def test_who_is_not_trusted_is_refused(low, high, spool, tmp_path):
    stranger = gate_of(tmp_path / "stranger", "us-west-2", "U", seed=3)
    trusting(stranger, high)
    sent(stranger, made(stranger, Held("a", b"x")), spool)
    with pytest.raises(Refused, match="us-west-2 is not trusted"):
        took(high, spool)


def test_who_signs_as_another_region_is_refused(low, high, spool, tmp_path):
    liar = gate_of(tmp_path / "liar", "us-west-2", "U", seed=4)
    trusting(liar, high)
    origin = Origin(**{**as_dict(made(low).statement.predicate.origin), "region": LOW})
    sent(liar, made(liar, Held("a", b"x"), origin=origin), spool)
    with pytest.raises(Refused, match="two signatures of that region"):
        took(high, spool)


@pytest.mark.parametrize("name", ["../trust/x", "a/b", "", "UPPER", "a\0b"])
def test_a_region_name_never_leaves_the_folder(tmp_path, name):
    with pytest.raises(Refused, match="no region's name"):
        TrustStore(tmp_path).of(name)


def test_what_is_too_large_is_refused(low, high, spool):
    bundle = made(low, Held("a", BIG))
    sent(low, bundle, spool)
    object.__setattr__(high.receiver, "size_max", len(BIG) - 1)
    with pytest.raises(Refused, match="more than"):
        took(high, spool)


def test_a_delta_whose_base_never_came_is_refused(low, high, spool):
    base = made(low, Held("a", b"1"))
    delta = made(low, Held("a", b"2"), base=base.digest)
    sent(low, delta, spool)
    with pytest.raises(Refused, match="never came here"):
        took(high, spool)
    sent(low, base, spool)
    list(high.receiver.take(spool, base.digest))
    assert took(high, spool) == [delta.digest]


def test_a_forged_envelope_is_refused(low, high, spool):
    bundle = made(low, Held("a", b"1"))
    place = sent(low, bundle, spool)
    changed(
        type(bundle)(digest=bundle.digest, folder=place, statement=bundle.statement),
        lambda envelope: envelope["signatures"].reverse() or envelope["signatures"].pop(),
    )
    with pytest.raises(Refused, match="two signatures"):
        took(high, spool)


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "large", "noise"])
def test_a_strange_envelope_is_refused(low, high, spool, what):
    place = sent(low, made(low, Held("a", b"1")), spool)
    envelope = place / "bundle.json"
    if what == "link":
        envelope.rename(place / "aside")
        envelope.symlink_to("aside")
    elif what == "noise":
        envelope.write_bytes(b"\xff{")
    elif what == "large":
        os.truncate(envelope, (128 << 20) + 1)
    else:
        envelope.unlink()
        (os.mkfifo if what == "pipe" else os.mkdir)(envelope)
    with pytest.raises(Refused):
        took(high, spool)


def test_a_chunk_that_was_changed_on_the_way_is_refused_and_the_true_one_taken(low, high, spool):
    bundle = made(low, Held("a", BIG))
    place = sent(low, bundle, spool)
    true = (place / "00000001.chunk").read_bytes()
    (place / "00000001.chunk").write_bytes(true[:-1] + bytes([true[-1] ^ 1]))
    with pytest.raises(Refused, match="not what was signed"):
        took(high, spool)
    assert high.receiver.arrived.digests() == []
    (place / "00000001.chunk").write_bytes(true)
    assert took(high, spool) == [bundle.digest]


def test_high_sends_nothing_low_of_itself(low, high, spool):
    bundle = made(high, Held("a", b"x", label="S"), to=LOW)
    with pytest.raises(Refused, match="0 of 7 filters"):
        list(high.send(bundle.digest, spool))
    assert not spool.exists()


def test_nothing_is_sent_to_a_region_whose_ceiling_nobody_vouched_for(low, spool):
    with pytest.raises(Refused, match="not trusted"):
        list(low.send(made(low, Held("a", b"x")).digest, spool))


def test_an_anchor_is_taken_only_when_two_people_approved_exactly_it(tmp_path, low):
    crowd = Crowd(people=["ann"])
    high = gate_of(tmp_path / "high", HIGH, "S", approvals=crowd)
    with pytest.raises(Refused, match="2 people must approve it"):
        trusting(high, low)
    with pytest.raises(Refused, match="not trusted"):
        high.trust.of(LOW)
    (asked,) = crowd.asked
    crowd.people.append("bob")
    trusting(high, low)
    assert (asked, high.trust.of(LOW)) == (crowd.used[0], low.anchor())
    other = anchor_of(LOW, "TS", gate_of(tmp_path / "x", LOW, "U").signer.public)
    high.trusted(msgspec.json.encode(other))
    assert crowd.used[1].digest != crowd.used[0].digest


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b"x" * 70_000, b'{"region":1}'])
def test_what_is_no_anchor_is_refused(text):
    with pytest.raises(Refused, match="no anchor"):
        read_anchor(text)


def test_its_own_anchor_and_a_ceiling_that_is_no_label_are_refused(low, tmp_path):
    with pytest.raises(Refused, match="own anchor"):
        trusting(low, low)
    odd = anchor_of(HIGH, "ULTRA", low.signer.public)
    with pytest.raises(Refused, match="no label"):
        low.trusted(msgspec.json.encode(odd))


LAY = """
import os, sys
from pathlib import Path
from bastide.transfer.spool import _lay, _opened
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    os.listdir(sys.argv[1])
    sys.exit("the folder can be read")
except PermissionError:
    with _opened(Path(sys.argv[1])) as place:
        _lay(place, "name", b"data")
"""


def test_a_folder_that_may_be_written_and_not_read_is_enough(tmp_path):
    place = tmp_path / "spool"
    place.mkdir()
    place.chmod(0o333)
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(path.stat().st_mode | 0o111)
    subprocess.run([sys.executable, "-c", LAY, str(place)], check=True)
    place.chmod(0o700)
    assert (place / "name").read_bytes() == b"data"
    assert os.listdir(place) == ["name"]


def test_no_link_that_lies_in_a_spool_is_followed(low, high, spool, tmp_path):
    """Two people released it for the spool: nobody who may write there takes it elsewhere."""
    bundle, elsewhere = made(low, Held("big", BIG)), tmp_path / "elsewhere"
    elsewhere.mkdir()
    spool.mkdir()
    for link in (spool / HIGH, spool / HIGH / bundle.digest):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(elsewhere)
        with pytest.raises(Refused, match="leads elsewhere"):
            sent(low, bundle, spool)
        link.unlink()
    assert list(elsewhere.iterdir()) == []


def test_a_spool_that_becomes_a_link_after_it_was_asked_for_is_not_followed(
    low, high, spool, tmp_path, monkeypatch
):
    bundle, elsewhere = made(low, Held("big", BIG)), tmp_path / "elsewhere"
    elsewhere.mkdir()
    clear = type(low.departures).clear

    def cleared(*args, **rest):
        spool.symlink_to(elsewhere)
        return clear(*args, **rest)

    monkeypatch.setattr(type(low.departures), "clear", cleared)
    with pytest.raises(Refused, match="leads elsewhere"):
        sent(low, bundle, spool)
    assert list(elsewhere.iterdir()) == []


def test_what_lies_in_a_spool_is_not_written_through(low, high, spool, tmp_path):
    """The region writes as itself: a link in the way must not lead it to a file of its own."""
    bundle, kept = made(low, Held("big", BIG)), tmp_path / "master.key"
    kept.write_text("the key")
    place = spool / HIGH / bundle.digest
    place.mkdir(parents=True)
    for name in ("00000000.chunk", "00000001.chunk", "00000002.chunk", "bundle.json"):
        (place / f".{name}.{os.getpid()}.laying").symlink_to(kept)
    sent(low, bundle, spool)
    assert kept.read_text() == "the key"
    assert took(high, spool) == [bundle.digest]


def test_a_folder_in_the_place_of_a_file_is_refused_as_any(low, high, spool):
    bundle = made(low, Held("a", b"x"))
    place = sent(low, bundle, spool)
    for name, why in (("00000000.chunk", "cannot be read"), ("bundle.json", "cannot be read")):
        (place / name).unlink()
        (place / name).mkdir()
        before = os.listdir("/proc/self/fd")
        with pytest.raises(Refused, match=why):
            took(high, spool)
        assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("left", [
    lambda place: (place / "sub").mkdir(parents=True),
    lambda place: place.symlink_to(place.parent),
])  # fmt: skip
def test_what_a_receiver_of_datagrams_leaves_keeps_no_other_bundle_out(low, high, spool, left):
    """One that was taken over lays what cannot be cleared away under the name of what came."""
    bundle = made(low, Held("a", b"x"))
    sent(low, bundle, spool)
    old = high.incoming.folder / HIGH / ("a" * 64)
    old.parent.mkdir(parents=True)
    left(old)
    (old / "bundle.json").write_bytes(b"x")
    high.receiver.ledger.add(Seen(digest="a" * 64, region=LOW, received="now"))
    room = TransferRoom(
        gate=high, agencies=None, carrying=None, models=None, environments=None, setting_up=None,
        fetched=None, default_label="U", trail=Trail(), clock=None,
    )  # fmt: skip
    *_, last = room.receive(str(spool))
    assert [one["bundle"] for one in last["result"]][:1] == [bundle.digest]
    assert high.receiver.is_here(bundle.digest)


class Trail:
    """A log that keeps nothing."""

    def transfer(self, action, facts, said):
        done = Future()
        done.set_result(None)
        return "receipt", done

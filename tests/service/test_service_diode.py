"""Bundles between live regions as datagrams, over a wire that loses some."""

import json
import os
import random
import signal
import socket

import pytest
from tests.gate_live import HIGH, LOW, ask, create, nobodys, side, transfer
from tests.lossy import Weather, Wire
from tests.waiting import eventually

UDP = f'[regions.{HIGH}.transfer]\nudp = "127.0.0.1:0"\n'
WORDS = random.Random(0).choices(
    ["alder", "birch", "cedar", "hazel", "maple", "rowan", "willow"], k=400_000
)
TEXT = " ".join(WORDS) + "\n"


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diode")
    low, high = side(folder, LOW, "U"), side(folder, HIGH, "S", UDP)
    low.trust(high)
    pid = receiver_of(high.region)
    high.trust(low)
    eventually(lambda: receiver_of(high.region) not in (0, pid))  # one that knows the new anchor
    yield low, high
    low.region.stop()
    high.region.stop()


def receiver_of(region):
    return region.control.get("/status")["datagrams"]["pid"]


def end_of(region):
    host, port = region.status["datagrams"]["address"].split(":")
    return host, int(port)


def states(region):
    return {row["bundle"]: row["state"] for row in region.control.get("/transfers")}


def test_a_bundle_crosses_a_lossy_wire_and_is_released(two):
    low, high = two[0].region, two[1].region
    ours = low.s3("reports", "sender")
    ours.put_object(Bucket="reports", Key="long.txt", Body=TEXT.encode())
    theirs = high.s3("arrivals", "reader")
    bundle = create(low, HIGH, "sender", "reports")["bundle"]
    with Wire(end_of(high), Weather(lost=0.05, doubled=0.02, mixed=5, seed=1)) as wire:
        words = ("send", bundle, "--udp", f"127.0.0.1:{wire.port}", "--rate", "40")
        two[0].approve(transfer(low, *words, check=False), "ann", "bob")
        assert bundle not in states(high), "nothing goes before two released it"
        sent = transfer(low, *words)
        assert sent["bundle"] == bundle
        eventually(lambda: states(high).get(bundle, "").startswith("arrived"), 60)
    assert wire.came_back == []
    outcomes = transfer(high, "receive")
    assert [one["outcome"] for one in outcomes] == ["received", "filtered"]
    where = {"agency": "reader", "bucket": "arrivals", "prefix": ""}
    two[1].approve(ask(high, f"/{bundle}/release", **where), "ann", "bob")
    ask(high, f"/{bundle}/release", **where)
    found = theirs.get_object(Bucket="arrivals", Key="long.txt")["Body"].read()
    assert found.decode() == TEXT
    assert states(high)[bundle] == "released"
    told = json.loads(low.cli("audit", "show", "--json").stdout)
    assert any("udp" in json.dumps(one) for one in told)


def test_what_was_lost_is_told_there_and_sent_again(two):
    low, high = two[0].region, two[1].region
    low.s3("lost", "sender").put_object(Bucket="lost", Key="long.txt", Body=TEXT.encode())
    bundle = create(low, HIGH, "sender", "lost")["bundle"]
    way = {"udp": "", "rate_mbit": 80, "parity": 4, "passes": 1}
    with Wire(end_of(high), Weather(lost=0.3, seed=2)) as wire:
        two[0].send(bundle, **way | {"udp": f"127.0.0.1:{wire.port}"})
        eventually(lambda: "00000000.chunk (" in states(high).get(bundle, ""), 60)
    listed = high.cli("transfer", "list").stdout
    assert "incomplete" in listed
    assert transfer(high, "receive") == []
    os.kill(receiver_of(high), signal.SIGKILL)
    with Wire(end_of(high), Weather(lost=0.2, seed=3)) as wire:
        way |= {"udp": f"127.0.0.1:{wire.port}", "passes": 3}
        two[0].send(bundle, **way)
        eventually(lambda: states(high).get(bundle, "").startswith("arrived"), 60)
    assert [one["outcome"] for one in transfer(high, "receive")] == ["received", "filtered"]
    assert transfer(high, "receive") == []


def test_what_came_by_a_spool_too_is_cleared_away(two, tmp_path):
    low, high = two[0].region, two[1].region
    low.s3("twice", "sender").put_object(Bucket="twice", Key="k.txt", Body=b"twice\n")
    bundle = create(low, HIGH, "sender", "twice")["bundle"]
    two[0].send(bundle, spool=str(tmp_path / "spool"))
    ask(high, "-receive", spool=str(tmp_path / "spool"))
    host, port = end_of(high)
    way = {"udp": f"{host}:{port}", "rate_mbit": 80, "parity": 8, "passes": 1}
    two[0].send(bundle, **way)
    place = high.folder / "transfer" / "incoming" / HIGH / bundle
    eventually(place.exists, 60)
    assert ask(high, "-receive", spool="") == []
    assert [(path.name, path.stat().st_size) for path in place.iterdir()] == [("bundle.json", 0)]
    assert [row["state"] for row in high.control.get("/transfers") if row["bundle"] == bundle] == [
        "filtered"
    ]


def test_a_bundle_that_nobody_trusts_is_thrown_away_where_it_arrives(two):
    high = two[1].region
    incoming = high.folder / "transfer" / "incoming"
    name, sent = nobodys(HIGH)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        for one in sent:
            door.sendto(one, end_of(high))
        eventually(lambda: "two signatures" in states(high).get(name.hex(), ""), 60)
    assert "two signatures" in high.cli("transfer", "list").stdout
    assert transfer(high, "receive") == []
    assert not (incoming / HIGH / name.hex()).exists()
    kept = (incoming / ".arriving" / name.hex()).iterdir()
    assert {path.name for path in kept} == {"state.json", "why"}


def test_a_way_that_is_none_is_told(two):
    low = two[0].region
    assert "Name --spool" in transfer(low, "send", "abc", check=False)
    assert "HOST:PORT" in transfer(low, "send", "abc", "--udp", "nowhere", check=False)

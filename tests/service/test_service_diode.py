"""Bundles between live regions as datagrams, over a wire that loses some."""

import json
import random

import pytest
from tests.gate_live import HIGH, LOW, ask, create, side, transfer
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
    high.trust(low)
    yield low.region, high
    low.region.stop()
    high.region.stop()


def end_of(region):
    host, port = region.status["datagrams"]["address"].split(":")
    return host, int(port)


def states(region):
    return {row["bundle"]: row["state"] for row in region.control.get("/transfers")}


def test_a_bundle_crosses_a_lossy_wire_and_is_released(two):
    low, high = two[0], two[1].region
    ours = low.s3("reports", "sender")
    ours.put_object(Bucket="reports", Key="long.txt", Body=TEXT.encode())
    theirs = high.s3("arrivals", "reader")
    bundle = create(low, HIGH, "sender", "reports")["bundle"]
    with Wire(end_of(high), Weather(lost=0.05, doubled=0.02, mixed=5, seed=1)) as wire:
        sent = transfer(low, "send", bundle, "--udp", f"127.0.0.1:{wire.port}", "--rate", "40")
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

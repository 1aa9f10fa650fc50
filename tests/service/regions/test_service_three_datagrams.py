"""A region with user ids of its own, and the process of it that reads what anybody sends."""

import socket
from pathlib import Path

import pytest
from tests.gate_live import nobodys, transfer
from tests.three import NAMES
from tests.waiting import eventually

from bastide.jobs import proctree
from bastide.settings import parse
from bastide.transfer.line import LISTENER


def receivers(region):
    """The processes of a region that read datagrams."""
    found = []
    for pid in proctree.descendants(region.status["pid"]):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"bastide.transfer.diode" in words and b"bwrap" not in words:
            found.append(pid)
    return found


def test_only_the_region_that_names_an_address_reads_datagrams(three):
    told = {
        name: bool(one.control.get("/status")["datagrams"]) for name, one in three.regions.items()
    }
    assert told == {name: name == NAMES[1] for name in NAMES}
    for name, one in three.regions.items():
        assert bool(receivers(one)) == (name == NAMES[1])


@pytest.mark.root
def test_it_has_an_id_of_its_own_and_no_way_to_send(three):
    region = three.regions[NAMES[1]]
    gate = parse(three.toml).region(region.name).transfer
    for pid in receivers(region):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        said = dict(line.split(":\t", 1) for line in lines)
        assert said["Uid"].split()[0] == str(gate.uid_first + LISTENER)
        assert (said["Seccomp"], int(said["CapEff"], 16)) == ("2", 0)


def test_it_keeps_nothing_that_no_trusted_key_signed(three):
    region = three.regions[NAMES[1]]
    host, port = region.control.get("/status")["datagrams"]["address"].split(":")
    name, sent = nobodys(region.name)
    where = ("--region", region.name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        for one in sent:
            door.sendto(one, (host, int(port)))
        eventually(lambda: "is not trusted here" in str(region.control.get("/transfers")), 60)
    assert name.hex() in str(region.control.get("/transfers"))
    assert transfer(region, "receive", *where) == []

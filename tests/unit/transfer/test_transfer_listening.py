"""The receiver's real process, in its cage: it keeps what comes, and can send nothing."""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys

import pytest
from tests.transfer_kit import HIGH, LOW, UID_FIRST, Held, gate_of, made
from tests.waiting import eventually

from bastide.jobs import seccomp
from bastide.jobs.cage import Room, Walls
from bastide.jobs.host import find_bwrap
from bastide.transfer.diode.incoming import Incoming
from bastide.transfer.diode.listening import Listener, bound
from bastide.transfer.diode.sending import files
from bastide.transfer.line import LISTENER
from bastide.transfer.signing import TrustStore

WALLS = Walls(bwrap=find_bwrap(), seccomp=None, uid_first=UID_FIRST)
DATA = random.Random(3).randbytes(400_000)


@pytest.fixture
def mute(tmp_path):
    path = tmp_path / "mute.bpf"
    seccomp.write_filter(path, mute=True)
    return path


@pytest.fixture
def low(tmp_path):
    return gate_of(tmp_path / "low", LOW, "U")


@pytest.fixture
def listener(tmp_path, mute, low):
    trust = TrustStore(tmp_path / "trust")
    trust.add(low.anchor())
    made = Listener(
        door=bound(("127.0.0.1", 0)),
        folder=tmp_path / "incoming",
        region=HIGH,
        bytes_max=1 << 24,
        walls=WALLS,
        mute=mute,
        trust=trust,
        look_s=0.01,
    )
    made.start()
    yield made
    made.close()


@pytest.fixture
def bundle(low):
    return made(low, Held("a", DATA))


def say(door, listener, datagrams):
    for one in datagrams:
        door.sendto(one, listener.door.getsockname())


def test_a_receiver_that_is_killed_again_and_again_tears_nothing(listener, bundle):
    sent = [one for _, found in files(bundle, 8) for one in found]
    place, chance = listener.folder / HIGH / bundle.digest, random.Random(1)
    want = {path.name: path.read_bytes() for path in bundle.folder.iterdir()}

    def is_there():
        if not place.exists():
            return False
        assert {path.name: path.read_bytes() for path in place.iterdir()} == want
        return True

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        for _ in range(12):
            eventually(lambda: listener.told()["pid"])
            pid = listener.told()["pid"]
            say(door, listener, chance.sample(sent, 60))
            os.kill(pid, signal.SIGKILL)
            is_there()
            eventually(lambda pid=pid: listener.told()["pid"] != pid, 60)
        sent_until(listener, sent, is_there)
        door.setblocking(False)
        with pytest.raises(BlockingIOError):
            door.recv(1)
    if UID_FIRST is not None:
        assert {path.stat().st_uid for path in place.iterdir()} == {UID_FIRST + LISTENER}
    Incoming(listener.folder, HIGH).clear(bundle.digest, is_taken=True)
    assert Incoming(listener.folder, HIGH).rows() == []


def sent_until(listener, datagrams, what):
    """Pass after pass, as what a dying receiver had read is gone."""
    tries = itertools.count()

    def is_it():
        if next(tries) % 200 == 0:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
                say(door, listener, datagrams)
        return what()

    eventually(is_it, 120)


def test_what_no_trusted_key_signed_takes_no_room_until_its_anchor_is_given(
    listener, bundle, tmp_path
):
    stranger = gate_of(tmp_path / "stranger", "us-west-2", "U", seed=3)
    theirs = made(stranger, Held("a", random.Random(4).randbytes(6 << 20)))
    incoming, place = Incoming(listener.folder, HIGH), listener.folder / HIGH
    sent = [one for _, found in files(theirs, 8) for one in found]
    sent_until(listener, sent, lambda: "not trusted here" in str(incoming.rows()))
    sent_until(listener, sent[:2000], lambda: incoming.rows())
    kept = [path for path in listener.folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} <= {".part", ".json", ""}
    assert sum(path.stat().st_blocks * 512 for path in kept) < 2 << 20
    ours = [one for _, found in files(bundle, 8) for one in found]
    sent_until(listener, ours, (place / bundle.digest).exists)
    assert not (place / theirs.digest).exists()
    pid = listener.told()["pid"]
    listener.trust.add(stranger.anchor())
    eventually(lambda: listener.told()["pid"] != pid, 60)
    sent_until(listener, sent, (place / theirs.digest).exists)


TRIES = """
import json, os, socket, sys
door, folder = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
peer = (sys.argv[3], int(sys.argv[4]))
def tried(deed):
    try:
        return repr(deed())
    except OSError as error:
        return error.errno
out = {
    "sendto": tried(lambda: door.sendto(b"x", peer)),
    "sendmsg": tried(lambda: door.sendmsg([b"x"], [], 0, peer)),
    "connect": tried(lambda: door.connect(peer)),
    "socket": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "unix": tried(lambda: socket.socket(socket.AF_UNIX)),
    "write": tried(lambda: os.write(door.fileno(), b"x")),
    "writev": tried(lambda: os.writev(door.fileno(), [b"x"])),
    "root": sorted(os.listdir("/")),
    "outside": tried(lambda: open(os.path.dirname(folder) + "/outside", "w")),
    "got": door.recv(10).decode(),
}
open(folder + "/out.json", "w").write(json.dumps(out))
"""


def test_the_cage_has_no_way_to_send(tmp_path, mute):
    door, folder = bound(("127.0.0.1", 0)), tmp_path / "incoming"
    folder.mkdir()
    if UID_FIRST is not None:
        os.chown(folder, UID_FIRST + LISTENER, UID_FIRST + LISTENER)
    peer = bound(("127.0.0.1", 0))
    peer.sendto(b"hello", door.getsockname())
    host, port = peer.getsockname()
    argv = [sys.executable, "-I", "-c", TRIES, str(door.fileno()), str(folder), host, str(port)]
    with mute.open("rb") as program:
        fd = program.fileno()
        room = Room(out_bytes_max=1 << 20, writes=[str(folder)], cpu_s=None)
        command = WALLS.command(LISTENER, argv, room, fd)
        subprocess.run(command, pass_fds=[door.fileno(), fd], check=True, timeout=60)
    out = json.loads((folder / "out.json").read_text())
    denied = {name: out[name] for name in ("sendto", "sendmsg", "connect", "socket", "unix")}
    assert set(denied.values()) == {1}  # EPERM, of the filter
    assert out["write"] == out["writev"] == 89  # EDESTADDRREQ: the socket has no other end
    assert out["got"] == "hello"
    assert "home" not in out["root"]
    assert not (tmp_path / "outside").exists()  # what it wrote there is in its own memory
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(1)
    door.close()
    peer.close()

"""What a sandbox with a way out reaches: that one socket, again after it was made anew, and nothing
else of this machine."""

import json
import os
import socket
import sys
import threading
from pathlib import Path

import pytest
from tests.jobs_kit import PlainKind, Site, local_executor

from bastide.jobs.model import Bind, Status, WayOut
from bastide.kernel.unix_names import short_name

PREFIX = os.path.realpath(sys.base_prefix)
PYTHON = f"{PREFIX}/bin/python3"
PORT = 9001
# Asks until the door answers, then tries all else that it was told of.
ASKS = f"""
import json, os, socket, sys
def asked(where, family=socket.AF_INET):
    with socket.socket(family) as client:
        client.settimeout(3)
        client.connect(where)
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read().decode()
def tried(where, family=socket.AF_INET):
    try:
        return asked(where, family)
    except OSError as error:
        return type(error).__name__
for _ in range(200_000):
    said = tried(("127.0.0.1", {PORT}))
    if said == sys.argv[1]:
        break
told = json.loads(sys.argv[2])
others = [tried(("127.0.0.1", port)) for port in told["ports"]]
others += [tried((told["address"], told["ports"][0]))]
others += [tried(path, socket.AF_UNIX) for path in told["paths"]]
interfaces = [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]]
print("SAID " + json.dumps([said, others, interfaces]), flush=True)
"""


class Answers:
    """Whoever listens, and says one thing to each."""

    def __init__(self, listener, said):
        self.listener, self.said, self.heard = listener, said, []
        listener.listen()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                self.heard.append(client.recv(100))
                client.sendall(self.said)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


class Going(PlainKind):
    """Its jobs have a way out to `door`."""

    door: Path

    def launch(self, job, home):
        from dataclasses import replace

        return replace(super().launch(job, home), way_out=WayOut(socket=self.door, port=PORT))

    def binds(self, home):
        return [*super().binds(home), Bind(source=Path(PREFIX), target=PREFIX)]


def at(path):
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with short_name(path) as name:
        listener.bind(name)
    path.chmod(0o666)
    return listener


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "private" / "door"
    folder.mkdir(parents=True, mode=0o711)
    folder.parent.chmod(0o700)  # the agency's uid cannot pass it
    kind = Going()
    kind.door = folder / "way.sock"
    made = Site(tmp_path, local_executor(tmp_path), kind=kind)
    yield made
    made.end()


def test_it_reaches_its_door_and_nothing_else(site):
    door = Answers(at(site.kind.door), b"first")
    beside = site.kind.door.with_name("other.sock")
    other = Answers(at(beside), b"other")
    elsewhere = socket.socket()
    elsewhere.bind(("0.0.0.0", 0))
    host = Answers(elsewhere, b"host")
    address = socket.gethostbyname(socket.gethostname())
    told = {
        "ports": [elsewhere.getsockname()[1], 22, 80, 8080],
        "address": address,
        "paths": [str(site.kind.door), str(beside), "/run/way.sock", "\0abstract"],
    }
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0abstract")
    hidden = Answers(abstract, b"abstract")
    site.run(PYTHON, "-I", "-c", ASKS, "first", json.dumps(told))
    (line,) = [line for line in site.kind.lines if line.startswith("SAID ")]
    said, others, interfaces = json.loads(line.removeprefix("SAID "))
    assert said == "first"
    assert set(others) <= {"ConnectionRefusedError", "OSError", "FileNotFoundError"}, others
    assert interfaces == ["lo"]
    assert not other.heard
    assert not host.heard
    assert not hidden.heard
    for one in (door, other, host, hidden):
        one.close()


def test_the_door_may_be_made_anew(site):
    first = Answers(at(site.kind.door), b"first")
    told = json.dumps({"ports": [1], "address": "127.0.0.1", "paths": []})
    job_id = site.submit(PYTHON, "-I", "-c", ASKS, "second", told)
    site.wait(job_id, Status.RUNNING)
    first.close()
    second = Answers(at(site.kind.door), b"second")
    site.wait(job_id, Status.COMPLETED)
    assert any('SAID ["second"' in line for line in site.kind.lines)
    second.close()

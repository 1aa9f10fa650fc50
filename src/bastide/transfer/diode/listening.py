"""Keeps a region's receiver running: a caged process that gets the socket, the folder of what
comes in, the trusted regions' anchors, and nothing else. The region holds the socket too, so that a
restart loses nothing; when the anchors change, it is killed and started with those."""

import logging
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any, BinaryIO

from bastide.db import durable
from bastide.jobs.cage import Room, Walls
from bastide.transfer.line import LISTENER
from bastide.transfer.signing import TrustStore

FILE_BYTES_MAX = 512 << 20
BUFFER_BYTES = 64 << 20  # as much of it as the host allows
LOOK_S = 0.5
RECEIVER = "bastide.transfer.diode"
logger = logging.getLogger(__name__)


def bound(address: tuple[str, int]) -> socket.socket:
    """The socket, at an address of this host. Raises OSError."""
    host, port = address
    family, kind, protocol, _, found = socket.getaddrinfo(
        host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
    )[0]
    door = socket.socket(family, kind, protocol)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    door.bind(found)
    return door


@dataclass(slots=True, kw_only=True)
class Listener:
    """`mute` is the compiled filter of system calls without any that sends."""

    door: socket.socket
    folder: Path
    region: str
    bytes_max: int
    walls: Walls
    mute: Path
    trust: TrustStore
    look_s: float = LOOK_S
    _process: "subprocess.Popen[bytes] | None" = None
    _stopping: Event = field(default_factory=Event)
    _thread: Thread | None = None

    def told(self) -> dict[str, Any]:
        """What `bastide status` says of it."""
        host, port, *_ = self.door.getsockname()
        return {"address": f"{host}:{port}", "pid": self._process.pid if self._process else 0}

    def start(self) -> None:
        self._own_folder()
        self._thread = Thread(target=self._keep, name="transfer-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._process is not None:
            self._process.kill()  # safe at any time, and every region's end may be a kill
        if self._thread is not None:
            self._thread.join()
        self.door.close()

    def _own_folder(self) -> None:
        """The receiver's, once: what the region made there."""
        durable.folder(self.folder)
        if self.walls.uid_first is not None:
            uid = self.walls.uid_first + LISTENER
            os.chown(self.folder, uid, uid)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            anchors = self.trust.all()
            with self.mute.open("rb") as program, _as_file(anchors.encoded()) as given:
                self._process = process = self._started(program.fileno(), given)
            while process.poll() is None:
                if self._stopping.wait(self.look_s) or self.trust.all() != anchors:
                    process.kill()
                    process.wait()
            if not self._stopping.wait(self.look_s):
                code = process.returncode
                logger.warning("the receiver of datagrams ended (%s): it is started again", code)

    def _started(self, program: int, anchors: BinaryIO) -> "subprocess.Popen[bytes]":
        argv = [
            sys.executable, "-I", "-m", RECEIVER,
            str(self.door.fileno()), str(self.folder), self.region, str(self.bytes_max),
        ]  # fmt: skip
        command = self.walls.command(
            LISTENER,
            argv,
            Room(out_bytes_max=FILE_BYTES_MAX, writes=[str(self.folder)], cpu_s=None),
            program,
        )
        return subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=anchors, pass_fds=[self.door.fileno(), program]
        )


def _as_file(data: bytes) -> BinaryIO:
    """What a process may read, and finds nowhere."""
    file = os.fdopen(os.memfd_create("anchors"), "w+b")
    file.write(data)
    file.seek(0)
    return file

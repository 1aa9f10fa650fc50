"""Keeps a region's receiver running: a caged process that gets the socket, the folder of what
comes in, and nothing else. The region holds the socket too, so that a restart loses nothing."""

import logging
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from bastide.db import durable
from bastide.transfer.line import LISTENER, Room, Walls

FILE_BYTES_MAX = 512 << 20
BUFFER_BYTES = 64 << 20  # as much of it as the host allows
RESTART_S = 1.0
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
    restart_s: float = RESTART_S
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
            with self.mute.open("rb") as program:
                self._process = self._started(program.fileno())
            if self._stopping.is_set():
                self._process.kill()
            code = self._process.wait()
            if not self._stopping.wait(self.restart_s):
                logger.warning("the receiver of datagrams ended (%s): it is started again", code)

    def _started(self, program: int) -> "subprocess.Popen[bytes]":
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
            command, stdin=subprocess.DEVNULL, pass_fds=[self.door.fileno(), program]
        )

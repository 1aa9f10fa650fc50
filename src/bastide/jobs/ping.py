"""The health check, as the runner's own threads ask it.

Who answers is a tenant: one that says a byte now and then, or that it goes on, and on, holds no
thread. All of its answer has the time and the room of one.
"""

import contextlib
import http.client
import io
import socket
import time
from pathlib import Path
from typing import Any

from bastide.jobs import reach

TIMEOUT_S = 2.0  # AWS's
SAID_MAX = 4096
HEARD_MAX = 64 * 1024  # with its heads


def answers(path: Path) -> bool:
    """Whether the replica says 200 to GET /ping."""
    return said(path) is not None


def said(path: Path) -> bytes | None:
    """What it says with it, or the beginning of that; None for everything but 200."""
    try:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = _Heard(reach.connect(path))
        with contextlib.closing(connection):
            connection.request("GET", "/ping")
            answer = connection.getresponse()
            return answer.read(SAID_MAX) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None


class _Heard(io.RawIOBase):
    """What `http.client` asks of a socket. TimeoutError once it took too long, or was too much."""

    def __init__(self, way: socket.socket) -> None:
        self._way, self._room = way, HEARD_MAX
        self._deadline_s = time.monotonic() + TIMEOUT_S
        way.settimeout(TIMEOUT_S)

    def sendall(self, data: bytes) -> None:
        self._way.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0 or self._room <= 0:
            raise TimeoutError
        self._way.settimeout(left_s)
        size = self._way.recv_into(buffer)
        self._room -= size
        return size

    def close(self) -> None:
        self._way.close()
        super().close()

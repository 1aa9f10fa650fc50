"""HTTP to a replica's unix socket, with connections that are kept and used again."""

import contextlib
import http.client
import os
import socket
import stat
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

IDLE_MAX = 64
CONNECT_TIMEOUT_S = 2.0
CHUNK = 64 * 1024


class NotAnswered(Exception):
    """The replica could not be asked, or did not answer as HTTP. `timed_out` says which."""

    def __init__(self, reason: str, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over AF_UNIX."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self.path = path
        self.used = False

    def connect(self) -> None:
        """The folder is the tenant's own, so what lies there may be a link to anywhere: only a
        socket that lies there itself is connected to, and it cannot be changed in between."""
        held = os.open(self.path, os.O_PATH | os.O_NOFOLLOW)
        try:
            if not stat.S_ISSOCK(os.fstat(held).st_mode):
                raise ConnectionRefusedError(f"{self.path.name} is no socket")
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(CONNECT_TIMEOUT_S)
            self.sock.connect(f"/proc/self/fd/{held}")
        finally:
            os.close(held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(slots=True)
class Connections:
    """Idle connections by socket."""

    _idle: dict[Path, list[UnixConnection]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, path: Path, asked: Asked, size_max: int) -> Answered:
        """The whole answer. Raises NotAnswered."""
        with self.open(path, asked) as (status, headers, response):
            body = _read(response, size_max)
        return Answered(status, headers, body)

    @contextlib.contextmanager
    def open(
        self, path: Path, asked: Asked
    ) -> "Iterator[tuple[int, dict[str, str], http.client.HTTPResponse]]":
        """The answer as it comes. A connection that was read to its end is kept."""
        connection, response = self._exchange(path, asked)
        try:
            headers = {name.lower(): value for name, value in response.getheaders()}
            yield response.status, headers, response
        finally:
            if response.isclosed() and not response.will_close:
                self._keep(connection)
            else:
                connection.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, {}
        for connection in [each for many in idle.values() for each in many]:
            connection.close()

    def forget(self, path: Path) -> None:
        """The replica is gone."""
        with self._lock:
            gone = self._idle.pop(path, [])
        for connection in gone:
            connection.close()

    def _exchange(
        self, path: Path, asked: Asked
    ) -> tuple[UnixConnection, http.client.HTTPResponse]:
        """A kept connection may have been closed by the other end meanwhile: then, and only then,
        the request is sent again, on a new one."""
        connection = self._taken(path)
        try:
            return connection, _send(connection, asked)
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            connection.close()
            if not connection.used:
                raise NotAnswered(str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NotAnswered(str(error), isinstance(error, TimeoutError)) from error
        self.forget(path)
        connection = UnixConnection(path)
        try:
            return connection, _send(connection, asked)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NotAnswered(str(error), isinstance(error, TimeoutError)) from error

    def _taken(self, path: Path) -> UnixConnection:
        with self._lock:
            idle = self._idle.get(path)
            return idle.pop() if idle else UnixConnection(path)

    def _keep(self, connection: UnixConnection) -> None:
        connection.used = True
        with self._lock:
            idle = self._idle.setdefault(connection.path, [])
            if len(idle) < IDLE_MAX:
                idle.append(connection)
                return
        connection.close()


def pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """As they arrive. Raises NotAnswered when the other end breaks off."""
    try:
        while chunk := response.read1(CHUNK):
            yield chunk
        if not response.isclosed():
            response.read()  # before 3.11.8, read1 does not notice the end that it reached
    except (OSError, http.client.HTTPException) as error:
        raise NotAnswered(str(error), isinstance(error, TimeoutError)) from error


def _read(response: http.client.HTTPResponse, size_max: int) -> bytes:
    try:
        body = response.read(size_max + 1)
        if len(body) > size_max:
            raise NotAnswered(f"the answer is larger than {size_max} bytes")
        if not response.isclosed():
            response.read(1)  # the end of a chunked answer
    except (OSError, http.client.HTTPException) as error:
        raise NotAnswered(str(error), isinstance(error, TimeoutError)) from error
    return body


def _send(connection: UnixConnection, asked: Asked) -> http.client.HTTPResponse:
    if connection.sock is None:
        connection.connect()
    assert connection.sock is not None
    connection.sock.settimeout(asked.timeout_s)
    connection.request(asked.method, asked.path, asked.body or None, dict(asked.headers))
    return connection.getresponse()

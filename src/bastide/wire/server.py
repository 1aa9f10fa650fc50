"""uvicorn with httptools and uvloop, set up the strict way, inside our own event loop."""

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from bastide.kernel.shares import Shares
from bastide.wire.door import Door
from bastide.wire.strict import StrictProtocol

BACKLOG = 1024
KEEP_ALIVE_S = 75
STOP_LIMIT_S = 3
CONNECTIONS_MAX = 4096
OPEN_FILES = 4 * CONNECTIONS_MAX
CIPHERS = "ECDHE+AESGCM"  # of TLS 1.2; those of 1.3 are all good


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening address, taken at once, so that port 0 is known before anything starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ValueError(
            f"{host}:{port} cannot be listened on: {error.strerror}. Another region or program may "
            "have it; set another port in bastide.toml."
        ) from error
    return listener


def room_for_connections() -> int:
    """How many there may be: half of the files that this process may open, which is raised as far
    as the host allows (Debian's default of 1,024 would be used up by a few clients)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return min(CONNECTIONS_MAX, most // 2)


def make_server(
    application: Any,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    connections_max: int | None = None,
) -> "Server":
    """A server for `serve(sockets=[…])`; plain HTTP where there is no certificate."""
    config = uvicorn.Config(
        application,
        http=StrictProtocol,
        ws="none",
        lifespan="off",
        loop="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_LIMIT_S,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        config.ssl.set_ciphers(CIPHERS)
    return Server(config, connections_max or room_for_connections())


class Server(uvicorn.Server):
    """Leaves signals to `app.py`, which has more to stop than a listener, and takes connections
    through a `Door`."""

    def __init__(self, config: uvicorn.Config, connections_max: int) -> None:
        super().__init__(config)
        self.connections_max = connections_max
        self._shares = Shares(connections_max)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.servers = []
        for listener in sockets or ():
            door = Door(listener, lambda: self._protocol(loop), self.config.ssl, self._shares)
            door.open(BACKLOG)
            self.servers.append(door)  # type: ignore[arg-type]  # all that uvicorn asks of one
        self.started = True

    def open_beside(self, listener: socket.socket, application: Any, source: str) -> Door:
        """A listener more, without TLS, for another application; `source`: whose it is."""
        loop = asyncio.get_running_loop()

        def protocol() -> StrictProtocol:
            made = self._protocol(loop)
            made.app = application
            return made

        door = Door(listener, protocol, None, self._shares, source)
        door.open(BACKLOG)
        self.servers.append(door)  # type: ignore[arg-type]  # all that uvicorn asks of one
        return door

    def close_beside(self, door: Door) -> None:
        door.close()
        if door in self.servers:  # type: ignore[comparison-overlap]
            self.servers.remove(door)  # type: ignore[arg-type]

    def _protocol(self, loop: asyncio.AbstractEventLoop) -> StrictProtocol:
        return StrictProtocol(self.config, self.server_state, {}, loop)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

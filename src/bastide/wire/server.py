"""uvicorn with httptools and uvloop, set up the strict way, inside our own event loop."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from bastide.wire.strict import StrictProtocol

BACKLOG = 1024
KEEP_ALIVE_S = 75
STOP_LIMIT_S = 3
CONNECTIONS_MAX = 4096
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


def make_server(
    application: Any, *, certificate: Path | None = None, key: Path | None = None
) -> uvicorn.Server:
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
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_LIMIT_S,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        config.ssl.set_ciphers(CIPHERS)
    return _Server(config)


class _Server(uvicorn.Server):
    """Leaves signals to `app.py`, which has more to stop than a listener."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

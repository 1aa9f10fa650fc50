"""What TLS and uvicorn reach alone: a server that throws away what is put and sends 64 MiB of
nothing for each get. `python -m bench.bare_tls CERTIFICATE KEY` prints its port and serves."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop

from bastide.wire.server import bound_socket, make_server

SIZE, UNIT = 64 << 20, bytes(512 << 10)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    size = SIZE if scope["method"] == "GET" else 0
    headers = [(b"content-length", str(size).encode()), (b"etag", b'"none"')]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(size // len(UNIT)):
        await send({"type": "http.response.body", "body": UNIT, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def serve(certificate: Path, key: Path) -> None:
    listener = bound_socket("127.0.0.1", 0)
    serving = asyncio.create_task(
        make_server(application, certificate=certificate, key=key).serve(sockets=[listener])
    )
    print(listener.getsockname()[1], flush=True)
    await serving


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))

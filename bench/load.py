"""A load generator that costs little: it replays prepared requests over kept-alive connections.

A signed request may be sent again while its date is fresh, so the bytes are built once. Runs in a
process of its own; `python -m bench.load` reads its task as JSON and answers latencies as JSON.
"""

import asyncio
import json
import ssl
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import httptools


class _Answers(asyncio.Protocol):
    """One connection: sends `request` again as soon as the answer is whole, for its time."""

    def __init__(self, request: bytes, until_s: float) -> None:
        self._request, self._until_s = request, until_s
        self.latencies_s: list[float] = []
        self.first_bytes_s: list[float] = []
        self.bad = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._first = False
        self._started = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, _body: bytes) -> None:
        if not self._first:
            self._first = True
            self.first_bytes_s.append(time.perf_counter() - self._started)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self.latencies_s.append(now - self._started)
        self.bad += self._parser.get_status_code() >= 300
        if now < self._until_s:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def _run(task: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    url = urlsplit(task["url"])
    context = ssl.create_default_context(cafile=task["ca"]) if url.scheme == "https" else None
    started = time.perf_counter()
    until_s = started + task["seconds"]
    connections = []
    for _ in range(task["connections"]):
        _, protocol = await loop.create_connection(
            lambda: _Answers(task["request"].encode("latin-1"), until_s),
            url.hostname,
            url.port,
            ssl=context,
        )
        connections.append(protocol)
    await asyncio.gather(*(protocol.done for protocol in connections))
    took_s = time.perf_counter() - started
    latencies = [value for protocol in connections for value in protocol.latencies_s]
    return {
        "requests": len(latencies),
        "per_s": len(latencies) / took_s,
        "bad": sum(protocol.bad for protocol in connections),
        "latencies_s": sorted(latencies),
        "first_bytes_s": sorted(v for protocol in connections for v in protocol.first_bytes_s),
    }


def load(
    url: str, request: bytes, *, connections: int, seconds: float, ca: str | None = None
) -> dict[str, Any]:
    """Replay `request` to `url` from `connections` connections at once for `seconds`."""
    task = {
        "url": url,
        "request": request.decode("latin-1"),
        "connections": connections,
        "seconds": seconds,
        "ca": ca,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(task), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def signed(
    method: str, url: str, body: bytes, *, service: str, env: dict[str, str], **headers: str
) -> bytes:
    """The bytes of a SigV4-signed request, as boto3's signer makes it."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(method, url, headers=dict(headers), data=body)
    keys = Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(keys, service, env["AWS_REGION"]).add_auth(request)
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"host: {parts.netloc}"]
    lines += [f"{key}: {value}" for key, value in request.headers.items()]
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(json.load(sys.stdin)))))

"""The real server on a port that the system chose, in a thread of its own."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from bastide.wire.server import bound_socket, make_server
from tests.wire.gateway.kit import World


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward, so that no test waits for a time limit."""

    skipped_s = 0.0

    def time(self) -> float:
        return super().time() + self.skipped_s

    def skip(self, seconds: float) -> None:
        """From another thread; done when this returns."""
        done = threading.Event()

        def put_forward() -> None:
            self.skipped_s += seconds
            self.call_later(0, done.set)  # behind all that is due by now

        self.call_soon_threadsafe(put_forward)
        assert done.wait(10)


class Live:
    """`port` is ready when the constructor returns. With a `SkippingLoop`, `loop` is it."""

    def __init__(
        self,
        world: World,
        certificate: Path | None = None,
        key: Path | None = None,
        *,
        make_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
        **options: Any,
    ):
        self.world, self.make_loop = world, make_loop
        self.listener = bound_socket("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        self.server = make_server(world.gateway, certificate=certificate, key=key, **options)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        deadline = time.monotonic() + 10
        while not self.server.started:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self.make_loop) as runner:
            self.loop: Any = runner.get_loop()
            runner.run(self.server.serve(sockets=[self.listener]))

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(25)
        assert not self.thread.is_alive()
        self.world.close()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """From any address of the loopback net."""
        return socket.create_connection(
            ("127.0.0.1", self.port), timeout=10, source_address=(source, 0)
        )

    def raw(self, data: bytes, timeout_s: float = 5.0, *, half_close: bool = False) -> bytes:
        """Everything that comes back until it closes or is silent."""
        with self.connect() as client:
            client.settimeout(timeout_s)
            found = b""
            try:
                client.sendall(data)
                if half_close:
                    client.shutdown(socket.SHUT_WR)
                while part := client.recv(1 << 16):
                    found += part
                    if is_whole(found):
                        client.settimeout(0.05)
            except (TimeoutError, ConnectionError):
                pass
            return found

    def is_well(self) -> bool:
        answer = self.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return answer.startswith(b"HTTP/1.1 403")


def is_whole(found: bytes) -> bool:
    head, end, body = found.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return bool(end) and len(body) >= int(line.partition(b":")[2])
    return False


def statuses(answer: bytes) -> list[int]:
    """The status of every response on a connection."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]

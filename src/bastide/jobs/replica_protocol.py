"""A replica's bytes on the event loop that everybody shares: parsed within bounds.

aiohttp takes any number of interim answers and of tiny chunks, and each costs it Python calls. A
connection whose bytes are mostly framing is broken off, and the time that all connections of one
replica may take of the loop is a tenth; who needs more waits, and the replica with it.
"""

import asyncio
import time
from typing import Any

from aiohttp.client_proto import ResponseHandler

FRAMING_MAX = 128 * 1024  # bytes of heads, interim answers and chunk sizes, beside twice the body
SHARE = 0.1  # of the loop's time
BURST_S = 0.25


class Budget:
    """What the answers of one replica may take of the loop: a leaky bucket of seconds."""

    def __init__(self) -> None:
        self._owed_s = 0.0
        self._at_s = 0.0

    def spend(self, seconds: float, now_s: float) -> float:
        """How long to wait before the next bytes are taken."""
        self._owed_s = max(0.0, self._owed_s - (now_s - self._at_s) * SHARE) + seconds
        self._at_s = now_s
        return max(0.0, self._owed_s - BURST_S) / SHARE


class ReplicaProtocol(ResponseHandler):
    """aiohttp's own, with a bound on what is no body, and a budget of time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, budget: Budget) -> None:
        super().__init__(loop)
        self._budget = budget
        self._wire_size = 0  # of the answer that is coming

    def set_response_params(self, **given: Any) -> None:
        """Called once for each answer that is waited for."""
        self._wire_size = 0
        super().set_response_params(**given)

    def data_received(self, data: bytes) -> None:
        began_s = time.perf_counter()
        super().data_received(data)
        now_s = time.perf_counter()
        self._wire_size += len(data)
        body_size = self._payload.total_bytes if self._payload is not None else 0
        if self.transport is None:
            return
        if self._wire_size > 2 * body_size + FRAMING_MAX:
            self.transport.abort()
        elif wait_s := self._budget.spend(now_s - began_s, now_s):
            self.transport.pause_reading()
            self._loop.call_later(wait_s, self._go_on)

    def _go_on(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

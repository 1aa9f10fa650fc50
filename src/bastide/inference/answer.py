"""A streamed answer as the gateway sends it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from typing import Any

from bastide.inference.lease import Lease
from bastide.inference.turn import Heard, Part

Params = dict[str, Any]
Generators = tuple[AsyncGenerator[Params, None], AsyncGenerator[Part, None]]


class Answer:
    """The events of one streamed answer. At its end, or when it is closed before, the generation
    is over, the place is free and what was produced is billed: also when nobody ever asked for
    the first event."""

    def __init__(
        self, voice: Heard, lease: Lease, generators: Generators, bill: Callable[[], None]
    ) -> None:
        self._voice = voice
        self._lease = lease
        self._events, self._parts = generators
        self._bill = bill
        self._open = True

    def __aiter__(self) -> "Answer":
        return self

    async def __anext__(self) -> Params:
        ended = True  # by its end, a failure or a cancellation
        try:
            event = await self._events.__anext__()
            ended = "metadata" in event  # after the last one a slow reader keeps no place
        finally:
            if ended:
                self._finish()
        return event

    async def aclose(self) -> None:
        self._finish()
        await self._events.aclose()
        await self._parts.aclose()

    def _finish(self) -> None:
        with ExitStack() as ending:  # a bill that fails keeps no place
            ending.callback(self._lease.release)
            ending.callback(self._voice.close)
            if self._open:
                self._open = False
                self._bill()

"""Waiting for what another process or thread does: asked again and again, until a deadline."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

PAUSE_S = 0.01


def eventually(true: Callable[[], Any], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"it did not happen within {limit_s} s"
        time.sleep(PAUSE_S)


async def until(true: Callable[[], Any], limit_s: float = 20.0) -> None:
    """The same, while the event loop goes on."""
    async with asyncio.timeout(limit_s):
        while not true():  # noqa: ASYNC110 - it is another process that moves
            await asyncio.sleep(PAUSE_S)


def wait_for(
    describe: Callable[[], dict[str, Any]], field: str, ends: Any, limit_s: float = 90.0
) -> dict[str, Any]:
    """What is described, once its `field` has one of the values `ends`."""
    deadline = time.monotonic() + limit_s
    while (found := describe())[field] not in ends:
        assert time.monotonic() < deadline, f"still {found[field]} after {limit_s} s"
        time.sleep(0.1)
    return found

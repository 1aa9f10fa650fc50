"""The one way in which routes wait for work that blocks: in a thread, while the loop goes on."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

from aiohttp import web

from bastide.operators.ports import Trail

T = TypeVar("T")


async def off_loop(executor: Executor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, work)


async def answered(executor: Executor, work: Callable[[], Any]) -> web.StreamResponse:
    return web.json_response(await off_loop(executor, work))


async def audited(trail: Trail, action: str, facts: Mapping[str, str]) -> None:
    """The record is durable before the effect."""
    await asyncio.wrap_future(trail.operator(action, facts))

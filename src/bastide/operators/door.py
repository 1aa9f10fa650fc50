"""What all routes go through: first the record, then the work in a thread, then its answer."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

from bastide.operators import progress
from bastide.operators.off_loop import off_loop
from bastide.operators.ports import Steps, Trail

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    trail: Trail
    executor: Executor

    async def audited(self, action: str, facts: Mapping[str, str]) -> None:
        """The record is durable before the effect."""
        await asyncio.wrap_future(self.trail.operator(action, facts))

    async def done(self, work: Callable[[], T]) -> T:
        return await off_loop(self.executor, work)

    async def answered(self, work: Callable[[], Any]) -> web.StreamResponse:
        return web.json_response(await self.done(work))

    async def streamed(
        self, request: web.Request, begin: Callable[[], Steps]
    ) -> web.StreamResponse:
        """Line by line, as long work goes on."""
        return await progress.stream(request, self.executor, begin)

"""The routes of `bastide share …`. What changes something is audited before it does."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bastide.operators.approval_routes import requester
from bastide.operators.fields import fields
from bastide.operators.ports import ShareDesk, Trail


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRoutes:
    desk: ShareDesk
    trail: Trail

    def add_to(self, app: web.Application, executor: Executor) -> None:
        routes = _Routes(self.desk, self.trail, executor)
        app.router.add_get("/shares/{agency}", routes.rows)
        app.router.add_post("/shares/{agency}/grant", routes.grant)
        app.router.add_post("/shares/{agency}/revoke", routes.revoke)


@dataclass(frozen=True, slots=True)
class _Routes:
    desk: ShareDesk
    trail: Trail
    executor: Executor

    async def rows(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        return await self._answered(lambda: self.desk.rows(agency))

    async def grant(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        body = await fields(request, bucket=str, reader=str, prefix=str, label=str, officer=str)
        asks = requester(body.pop("officer"))
        await self._audited("GrantShare", {"agency": agency, **body})
        return await self._answered(lambda: self.desk.grant(agency, body, asks))

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        alias = (await fields(request, alias=str))["alias"]
        await self._audited("RevokeShare", {"agency": agency, "alias": alias})
        return await self._answered(lambda: self.desk.revoke(agency, alias))

    async def _audited(self, action: str, facts: dict[str, str]) -> None:
        await asyncio.wrap_future(self.trail.operator(action, facts))

    async def _answered(self, work: Callable[[], Any]) -> web.StreamResponse:
        answer = await asyncio.get_running_loop().run_in_executor(self.executor, work)
        return web.json_response(answer)

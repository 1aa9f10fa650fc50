"""The routes of `bastide agency label`. What changes something is audited before it does."""

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass

from aiohttp import web

from bastide.operators.approval_routes import requester
from bastide.operators.fields import fields
from bastide.operators.ports import AgencyLabelDesk, Trail


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRoutes:
    agencies: AgencyLabelDesk
    trail: Trail

    def add_to(self, app: web.Application, executor: Executor) -> None:
        routes = _Routes(self.agencies, self.trail, executor)
        app.router.add_get("/agencies/{name}/label", routes.of_agency)
        app.router.add_post("/agencies/{name}/label", routes.put_of_agency)


@dataclass(frozen=True, slots=True)
class _Routes:
    agencies: AgencyLabelDesk
    trail: Trail
    executor: Executor

    async def of_agency(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self.executor, lambda: self.agencies.row(name))
        return web.json_response(found)

    async def put_of_agency(self, request: web.Request) -> web.StreamResponse:
        name, body = request.match_info["name"], await fields(request, label=str, officer=str)
        label, asks = body["label"], requester(body["officer"])
        facts = {"agency": name, "label": label}
        await asyncio.wrap_future(self.trail.operator("SetAgencyLabel", facts))
        loop = asyncio.get_running_loop()
        put = await loop.run_in_executor(
            self.executor, lambda: self.agencies.put(name, label, asks)
        )
        return web.json_response(put)

"""The routes of `bastide share …`. What changes something is audited before it does."""

from concurrent.futures import Executor
from dataclasses import dataclass

from aiohttp import web

from bastide.operators.approval_routes import requester
from bastide.operators.fields import fields
from bastide.operators.off_loop import answered, audited
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
        return await answered(self.executor, lambda: self.desk.rows(agency))

    async def grant(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        body = await fields(request, bucket=str, reader=str, prefix=str, label=str, officer=str)
        asks = requester(body.pop("officer"))
        await audited(self.trail, "GrantShare", {"agency": agency, **body})
        return await answered(self.executor, lambda: self.desk.grant(agency, body, asks))

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        alias = (await fields(request, alias=str))["alias"]
        await audited(self.trail, "RevokeShare", {"agency": agency, "alias": alias})
        return await answered(self.executor, lambda: self.desk.revoke(agency, alias))

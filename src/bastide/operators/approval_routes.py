"""The routes of `bastide officer …` and `bastide approvals …`. What the rules refuse, and what
they let through, is audited where it is decided (`policy/`)."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bastide.kernel.approvals import OFFICER, OPERATOR
from bastide.operators.fields import fields
from bastide.operators.off_loop import answered
from bastide.operators.ports import ApprovalDesk
from bastide.policy.officers import NewOfficer


@dataclass(frozen=True, slots=True)
class ApprovalRoutes:
    desk: ApprovalDesk

    def add_to(self, app: web.Application, executor: Executor) -> None:
        routes = _Routes(self.desk, executor)
        app.router.add_get("/approvals", routes.rows)
        app.router.add_get("/approvals/{id}", routes.show)
        app.router.add_post("/approvals-sign", routes.sign)
        app.router.add_get("/officers", routes.officers)
        app.router.add_post("/officers", routes.enrol)
        app.router.add_post("/officers/{name}/suspend", routes.suspend)
        app.router.add_post("/officers/{name}/reinstate", routes.reinstate)


@dataclass(frozen=True, slots=True)
class _Routes:
    desk: ApprovalDesk
    executor: Executor

    async def rows(self, request: web.Request) -> web.StreamResponse:
        all_ = request.query.get("all") == "yes"
        return await self._answered(lambda: self.desk.rows(all_=all_))

    async def show(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(lambda: self.desk.show(request.match_info["id"]))

    async def sign(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, statement=dict, signature=str)
        return await self._answered(lambda: self.desk.sign(body["statement"], body["signature"]))

    async def officers(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(self.desk.officer_rows)

    async def enrol(self, request: web.Request) -> web.StreamResponse:
        body = await fields(
            request, name=str, roles=list, public_key=str, known_as=list, officer=str
        )
        new = NewOfficer(
            name=body["name"],
            roles=[str(role) for role in body["roles"]],
            public_key=body["public_key"],
            known_as=[str(one) for one in body["known_as"]],
        )
        return await self._answered(lambda: self.desk.enrol(new, requester(body["officer"])))

    async def suspend(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(lambda: self.desk.suspend(request.match_info["name"]))

    async def reinstate(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, officer=str)
        name = request.match_info["name"]
        return await self._answered(lambda: self.desk.reinstate(name, requester(body["officer"])))

    async def _answered(self, work: Callable[[], Any]) -> web.StreamResponse:
        return await answered(self.executor, work)


def requester(officer: str) -> str:
    """Who asks: an officer, who then signs that they do, or whoever owns the socket."""
    return OFFICER + officer if officer else OPERATOR

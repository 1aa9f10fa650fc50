"""The routes of `bastide officer …` and `bastide approvals …`. What the rules refuse, and what
they let through, is audited where it is decided (`policy/`)."""

from dataclasses import dataclass

from aiohttp import web

from bastide.kernel.approvals import OFFICER, OPERATOR
from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import ApprovalDesk
from bastide.policy.officers import NewOfficer


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRoutes:
    desk: ApprovalDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/approvals", self._rows)
        app.router.add_get("/approvals/{id}", self._show)
        app.router.add_post("/approvals-sign", self._sign)
        app.router.add_get("/officers", self._officers)
        app.router.add_post("/officers", self._enrol)
        app.router.add_post("/officers/{name}/suspend", self._suspend)
        app.router.add_post("/officers/{name}/reinstate", self._reinstate)

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        all_ = request.query.get("all") == "yes"
        return await self.door.answered(lambda: self.desk.rows(all_=all_))

    async def _show(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(lambda: self.desk.show(request.match_info["id"]))

    async def _sign(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, statement=dict, signature=str)
        return await self.door.answered(
            lambda: self.desk.sign(body["statement"], body["signature"])
        )

    async def _officers(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(self.desk.officer_rows)

    async def _enrol(self, request: web.Request) -> web.StreamResponse:
        body = await fields(
            request, name=str, roles=list, public_key=str, known_as=list, officer=str
        )
        new = NewOfficer(
            name=body["name"],
            roles=[str(role) for role in body["roles"]],
            public_key=body["public_key"],
            known_as=[str(one) for one in body["known_as"]],
        )
        return await self.door.answered(lambda: self.desk.enrol(new, requester(body["officer"])))

    async def _suspend(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(lambda: self.desk.suspend(request.match_info["name"]))

    async def _reinstate(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, officer=str)
        name = request.match_info["name"]
        return await self.door.answered(
            lambda: self.desk.reinstate(name, requester(body["officer"]))
        )


def requester(officer: str) -> str:
    """Who asks: an officer, who then signs that they do, or whoever owns the socket."""
    return OFFICER + officer if officer else OPERATOR

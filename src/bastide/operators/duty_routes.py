"""The routes of `bastide duty …`."""

from dataclasses import dataclass

from aiohttp import web

from bastide.operators.approval_routes import requester
from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import DutyDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyRoutes:
    desk: DutyDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/duties/{agency}", self._rows)
        app.router.add_post("/duties/{agency}/grant", self._grant)
        app.router.add_post("/duties/{agency}/remove", self._remove)

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(lambda: self.desk.rows(request.match_info["agency"]))

    async def _grant(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        body = await fields(request, who=str, duty=str, officer=str)
        who, duty, asks = body["who"], body["duty"], requester(body["officer"])
        await self.door.audited("GrantDuty", {"agency": agency, "who": who, "duty": duty})
        return await self.door.answered(lambda: self.desk.grant(agency, who, duty, asks))

    async def _remove(self, request: web.Request) -> web.StreamResponse:
        agency, body = request.match_info["agency"], await fields(request, who=str, officer=str)
        who, asks = body["who"], requester(body["officer"])
        await self.door.audited("RemoveDuty", {"agency": agency, "who": who})
        return await self.door.answered(lambda: self.desk.remove(agency, who, asks))

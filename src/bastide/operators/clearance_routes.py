"""The routes of `bastide clearance …`."""

from dataclasses import dataclass

from aiohttp import web

from bastide.operators.approval_routes import requester
from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import ClearanceDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearanceRoutes:
    desk: ClearanceDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/clearances/{agency}", self._rows)
        app.router.add_post("/clearances/{agency}/grant", self._grant)
        app.router.add_post("/clearances/{agency}/revoke", self._revoke)

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(lambda: self.desk.rows(request.match_info["agency"]))

    async def _grant(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        body = await fields(request, "who", "label", "officer")
        who, label, asks = str(body["who"]), str(body["label"]), requester(str(body["officer"]))
        await self.door.audited("GrantClearance", {"agency": agency, "who": who, "label": label})
        return await self.door.answered(lambda: self.desk.grant(agency, who, label, asks))

    async def _revoke(self, request: web.Request) -> web.StreamResponse:
        agency, who = request.match_info["agency"], str((await fields(request, "who"))["who"])
        await self.door.audited("RevokeClearance", {"agency": agency, "who": who})
        return await self.door.answered(lambda: self.desk.revoke(agency, who))

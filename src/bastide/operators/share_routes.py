"""The routes of `bastide share …`."""

from dataclasses import dataclass

from aiohttp import web

from bastide.operators.approval_routes import requester
from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import ShareDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRoutes:
    desk: ShareDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/shares/{agency}", self._rows)
        app.router.add_post("/shares/{agency}/grant", self._grant)
        app.router.add_post("/shares/{agency}/revoke", self._revoke)

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(lambda: self.desk.rows(request.match_info["agency"]))

    async def _grant(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        body = await fields(request, bucket=str, reader=str, prefix=str, label=str, officer=str)
        asks = requester(body.pop("officer"))
        await self.door.audited("GrantShare", {"agency": agency, **body})
        return await self.door.answered(lambda: self.desk.grant(agency, body, asks))

    async def _revoke(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        alias = (await fields(request, alias=str))["alias"]
        await self.door.audited("RevokeShare", {"agency": agency, "alias": alias})
        return await self.door.answered(lambda: self.desk.revoke(agency, alias))

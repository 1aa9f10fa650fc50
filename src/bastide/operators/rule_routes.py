"""The routes of `bastide rules …`."""

from dataclasses import dataclass

from aiohttp import web

from bastide.operators.approval_routes import requester
from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import RuleDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRoutes:
    desk: RuleDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/rules", self._show)
        app.router.add_post("/rules-adopt", self._adopt)

    async def _show(self, _: web.Request) -> web.StreamResponse:
        return await self.door.answered(self.desk.row)

    async def _adopt(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, rules=str, officer=str)
        rules, asks = body["rules"], requester(body["officer"])
        await self.door.audited("AdoptRules", {"rules": rules})
        return await self.door.answered(lambda: self.desk.adopt(rules, asks))

"""The routes of `bastide policy …`."""

from dataclasses import dataclass
from hashlib import sha256

from aiohttp import web

from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import PolicyDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRoutes:
    desk: PolicyDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/policies/{agency}", self._rows)
        app.router.add_post("/policies/{agency}/put", self._put)
        app.router.add_post("/policies/{agency}/remove", self._remove)
        app.router.add_post("/policies/{agency}/test", self._test)
        app.router.add_post("/policies/{agency}/why", self._why)

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(lambda: self.desk.rows(request.match_info["agency"]))

    async def _put(self, request: web.Request) -> web.StreamResponse:
        agency, body = request.match_info["agency"], await fields(request, "name", "text")
        name, text = str(body["name"]), str(body["text"])
        facts = {"agency": agency, "name": name, "sha256": sha256(text.encode()).hexdigest()}
        await self.door.audited("PutPolicy", facts)
        return await self.door.answered(lambda: self.desk.put(agency, name, text))

    async def _remove(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        name = str((await fields(request, "name"))["name"])
        await self.door.audited("RemovePolicy", {"agency": agency, "name": name})
        await self.door.done(lambda: self.desk.remove(agency, name))
        return web.json_response({"removed": name})

    async def _test(self, request: web.Request) -> web.StreamResponse:
        agency, body = request.match_info["agency"], await fields(request, "name", "text", "cases")
        name, text, cases = str(body["name"]), str(body["text"]), body["cases"]
        return await self.door.answered(lambda: self.desk.test(agency, name, text, cases))

    async def _why(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        asked = await fields(request, "principal", "action", "resource", "session", "label")
        return await self.door.answered(lambda: self.desk.why(agency, asked))

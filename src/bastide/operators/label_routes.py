"""The routes of `bastide label …` and `bastide agency label`."""

from dataclasses import dataclass
from hashlib import sha256

from aiohttp import web

from bastide.operators.approval_routes import requester
from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import AgencyLabelDesk, LabelDesk, RegionLabelDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRoutes:
    """Labels of things, and the defaults of an agency and of the region."""

    things: LabelDesk
    agencies: AgencyLabelDesk
    region: RegionLabelDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/labels/{agency}", self._graph)
        app.router.add_post("/labels/{agency}/lower", self._lower)
        app.router.add_get("/agencies/{name}/label", self._of_agency)
        app.router.add_post("/agencies/{name}/label", self._put_of_agency)
        app.router.add_post("/labels-adopt", self._adopt)

    async def _graph(self, request: web.Request) -> web.StreamResponse:
        agency, arn = request.match_info["agency"], request.query.get("arn", "")
        return await self.door.answered(lambda: self.things.graph(agency, arn))

    async def _lower(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        body = await fields(request, "bucket", "key", "version", "from", "to", "officer")
        asks = requester(str(body.pop("officer")))
        thing = {name: str(text) for name, text in body.items()}
        await self.door.audited("LowerLabel", {"agency": agency, **thing})
        return await self.door.answered(lambda: self.things.lower(agency, thing, asks))

    async def _of_agency(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(lambda: self.agencies.row(request.match_info["name"]))

    async def _put_of_agency(self, request: web.Request) -> web.StreamResponse:
        name, body = request.match_info["name"], await fields(request, label=str, officer=str)
        label, asks = body["label"], requester(body["officer"])
        await self.door.audited("SetAgencyLabel", {"agency": name, "label": label})
        return await self.door.answered(lambda: self.agencies.put(name, label, asks))

    async def _adopt(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, scheme=str, default_label=str, ceiling=str, officer=str)
        scheme, default, ceiling = body["scheme"], body["default_label"], body["ceiling"]
        asks, digest = requester(body["officer"]), sha256(scheme.encode()).hexdigest()
        facts = {"scheme_file_sha256": digest, "default_label": default, "ceiling": ceiling}
        await self.door.audited("AdoptLabelSettings", facts)
        return await self.door.answered(lambda: self.region.adopt(scheme, default, ceiling, asks))

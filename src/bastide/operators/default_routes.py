"""The routes of `bastide agency label` and `bastide label adopt`. What changes something is audited
before it does."""

from concurrent.futures import Executor
from dataclasses import dataclass
from hashlib import sha256

from aiohttp import web

from bastide.operators.approval_routes import requester
from bastide.operators.fields import fields
from bastide.operators.off_loop import answered, audited
from bastide.operators.ports import AgencyLabelDesk, RegionLabelDesk, Trail


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRoutes:
    agencies: AgencyLabelDesk
    region: RegionLabelDesk
    trail: Trail

    def add_to(self, app: web.Application, executor: Executor) -> None:
        routes = _Routes(self.agencies, self.region, self.trail, executor)
        app.router.add_get("/agencies/{name}/label", routes.of_agency)
        app.router.add_post("/agencies/{name}/label", routes.put_of_agency)
        app.router.add_post("/labels-adopt", routes.adopt)


@dataclass(frozen=True, slots=True)
class _Routes:
    agencies: AgencyLabelDesk
    region: RegionLabelDesk
    trail: Trail
    executor: Executor

    async def of_agency(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        return await answered(self.executor, lambda: self.agencies.row(name))

    async def put_of_agency(self, request: web.Request) -> web.StreamResponse:
        name, body = request.match_info["name"], await fields(request, label=str, officer=str)
        label, asks = body["label"], requester(body["officer"])
        await audited(self.trail, "SetAgencyLabel", {"agency": name, "label": label})
        return await answered(self.executor, lambda: self.agencies.put(name, label, asks))

    async def adopt(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, scheme=str, default_label=str, ceiling=str, officer=str)
        scheme, default, ceiling = body["scheme"], body["default_label"], body["ceiling"]
        asks, digest = requester(body["officer"]), sha256(scheme.encode()).hexdigest()
        facts = {"scheme_file_sha256": digest, "default_label": default, "ceiling": ceiling}
        await audited(self.trail, "AdoptLabelSettings", facts)
        return await answered(
            self.executor, lambda: self.region.adopt(scheme, default, ceiling, asks)
        )

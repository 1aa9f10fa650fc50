"""The routes of `bastide agency create|list` and `bastide client-env`."""

from dataclasses import dataclass

from aiohttp import web

from bastide.operators.agencies import EnvAsked
from bastide.operators.approval_routes import requester
from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import AgencyDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyRoutes:
    desk: AgencyDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/agencies", self._rows)
        app.router.add_post("/agencies", self._create)
        app.router.add_post("/agencies-many", self._create_many)
        app.router.add_post("/agencies/{name}/client-env", self._client_env)

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(self.desk.rows)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, "name", "account_id")
        name, account_id = str(body["name"]), body["account_id"]
        await self.door.audited("CreateAgency", {"name": name})
        return await self.door.answered(lambda: self.desk.create(name, account_id))

    async def _create_many(self, request: web.Request) -> web.StreamResponse:
        names = [str(name) for name in (await fields(request, "names"))["names"]]
        await self.door.audited("CreateAgencies", {"count": str(len(names))})
        return await self.door.answered(lambda: {"created": self.desk.create_many(names)})

    async def _client_env(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, keys=bool, bearer=bool, officer=str)
        asked = EnvAsked(
            agency=request.match_info["name"],
            keys=body["keys"],
            bearer=body["bearer"],
            requester=requester(body["officer"]),
        )
        facts = {"name": asked.agency, "bearer": str(asked.bearer)}

        def recorded() -> None:
            self.door.trail.operator("GetAdministratorKeys", facts).result()

        return await self.door.answered(lambda: self.desk.client_env(asked, recorded))

"""The routes of `bastide env …`."""

from dataclasses import dataclass

from aiohttp import web

from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import EnvironmentDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRoutes:
    desk: EnvironmentDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/environments", self._rows)
        app.router.add_post("/environments/{name}/build", self._build)
        app.router.add_post("/environments-import", self._import)

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(self.desk.rows)

    async def _build(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        await self.door.audited("BuildEnvironment", {"name": name})
        return await self.door.streamed(request, lambda: self.desk.build(name))

    async def _import(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, "tar", "name")
        tar, name = str(body["tar"]), str(body["name"])
        await self.door.audited("ImportEnvironment", {"name": name})
        return await self.door.streamed(request, lambda: self.desk.import_oci(tar, name))

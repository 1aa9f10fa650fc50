"""The routes of `bastide models …`."""

from dataclasses import dataclass

from aiohttp import web

from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import ModelDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRoutes:
    desk: ModelDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/models", self._rows)
        app.router.add_post("/models/{name}/pull", self._pull)
        app.router.add_post("/models-add", self._add)
        app.router.add_post("/models-alias", self._alias)

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(self.desk.rows)

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        await self.door.audited("PullModel", {"name": name})
        return await self.door.streamed(request, lambda: self.desk.pull(name))

    async def _add(self, request: web.Request) -> web.StreamResponse:
        body = await fields(
            request, "file", "model_id", "sha256", "licence", "context_tokens", "label"
        )
        await self.door.audited("AddModel", {"model_id": str(body["model_id"])})
        return await self.door.streamed(request, lambda: self.desk.add(body))

    async def _alias(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, "alias", "model")
        alias, model = str(body["alias"]), str(body["model"])
        await self.door.audited("AliasModel", {"alias": alias, "model": model})
        return await self.door.answered(lambda: self.desk.alias(alias, model))

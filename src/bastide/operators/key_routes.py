"""The routes of `bastide keys …`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from bastide.keys.keyring import KeyState
from bastide.operators.approval_routes import requester
from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.keys import family
from bastide.operators.ports import KeyDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRoutes:
    desk: KeyDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/keys", self._rows)
        app.router.add_post("/keys-all/rotate", self._rotate_all)
        app.router.add_post("/keys/{agency}/rotate", self._rotate)
        app.router.add_post("/keys/{agency}/destroy", self._destroy)

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(lambda: self.desk.rows(request.query.get("agency", "")))

    async def _rotate(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        label = (await fields(request, "label"))["label"]
        keys = await self.door.done(lambda: self.desk.chosen(agency, label))
        for state in keys:
            await self.door.audited("RotateKey", _facts(state))
        return await self.door.streamed(request, lambda: self.desk.rotate(keys))

    async def _rotate_all(self, request: web.Request) -> web.StreamResponse:
        await self.door.audited("RotateAllKeys", {})
        return await self.door.streamed(request, self.desk.rotate_all)

    async def _destroy(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        body = await fields(request, "label", "confirm", "officer")
        keys = await self.door.done(lambda: self.desk.chosen(agency, body["label"]))
        confirm = str(body["confirm"])
        await self.door.done(lambda: self.desk.check_confirmed(agency, keys, confirm))
        asks, recorded = requester(str(body["officer"])), partial(self._record_destruction, keys)
        return await self.door.answered(lambda: self.desk.destroy(keys, asks, recorded))

    def _record_destruction(self, keys: Sequence[KeyState]) -> None:
        for state in keys:
            self.door.trail.operator("DestroyKey", _facts(state)).result()


def _facts(state: KeyState) -> dict[str, str]:
    return {"account": state.account, "family": family(state)}

"""The routes of `bastide status|down` and of `client-env --dns`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bastide.operators.door import Door


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRoutes:
    """`status` answers what `bastide status` prints; `stop` begins the end of the region."""

    status: Callable[[], Mapping[str, Any]]
    hosts_lines: Callable[[], list[str]]
    stop: Callable[[], None]
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/status", self._status)
        app.router.add_get("/dns", self._dns)
        app.router.add_post("/stop", self._stop)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(self.status)

    async def _dns(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(lambda: {"hosts": self.hosts_lines()})

    async def _stop(self, request: web.Request) -> web.StreamResponse:
        await self.door.audited("StopRegion", {})
        self.stop()
        return web.json_response({"stopping": True})

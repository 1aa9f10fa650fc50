"""The routes of `bastide transfer …`. What changes something is audited before it does; who made
or released a bundle stands in the log under its digest."""

from dataclasses import dataclass

from aiohttp import web

from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import TransferDesk
from bastide.transfer.departures import STATEMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRoutes:
    desk: TransferDesk
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/transfers", self._rows)
        app.router.add_post("/transfers", self._create)
        app.router.add_post("/transfers/{name}/inspect", self._inspect)
        app.router.add_post("/transfers/{name}/send", self._send)
        app.router.add_post("/transfers/{name}/send-udp", self._send_udp)
        app.router.add_post("/transfers/{name}/filter", self._filter)
        app.router.add_post("/transfers/{name}/items/{number:[0-9]{1,6}}", self._review)
        app.router.add_post("/transfers/{name}/statement", self._review_statement)
        app.router.add_post("/transfers/{name}/release", self._release)
        app.router.add_post("/transfers-receive", self._receive)
        app.router.add_get("/transfers-anchor", self._anchor)
        app.router.add_post("/transfers-trust", self._trust)

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(self.desk.rows)

    async def _anchor(self, request: web.Request) -> web.StreamResponse:
        return await self.door.answered(self.desk.anchor)

    async def _trust(self, request: web.Request) -> web.StreamResponse:
        text = (await fields(request, anchor=str))["anchor"]
        await self.door.audited("TrustRegion", {})
        return await self.door.answered(lambda: self.desk.trust(text))

    async def _send(self, request: web.Request) -> web.StreamResponse:
        name, spool = request.match_info["name"], (await fields(request, spool=str))["spool"]
        await self.door.audited("SendTransfer", {"bundle": name, "spool": spool})
        return await self.door.streamed(request, lambda: self.desk.send(name, spool))

    async def _send_udp(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        way = await fields(request, udp=str, rate_mbit=int, parity=int, passes=int)
        await self.door.audited("SendTransfer", {"bundle": name, "udp": way["udp"]})
        return await self.door.streamed(request, lambda: self.desk.send_udp(name, way))

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        spool = (await fields(request, spool=str))["spool"]
        await self.door.audited("ReceiveTransfers", {"spool": spool})
        return await self.door.streamed(request, lambda: self.desk.receive(spool))

    async def _filter(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        await self.door.audited("FilterTransfer", {"bundle": name})
        return await self.door.streamed(request, lambda: self.desk.filter(name))

    async def _review(self, request: web.Request) -> web.StreamResponse:
        name, part = request.match_info["name"], str(int(request.match_info["number"]))
        return await self.door.streamed(request, lambda: self.desk.review(name, part))

    async def _review_statement(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        return await self.door.streamed(request, lambda: self.desk.review(name, STATEMENT))

    async def _release(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        body = await fields(request, agency=str, bucket=str, prefix=str)
        await self.door.audited("ReleaseTransfer", {"bundle": name, **body})
        return await self.door.streamed(request, lambda: self.desk.release(name, body))

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await fields(
            request,
            to=str,
            agency=str,
            bucket=str,
            prefix=str,
            model=str,
            environment=str,
            agency_setup=str,
            base=str,
        )
        await self.door.audited("CreateTransfer", body)
        return await self.door.streamed(request, lambda: self.desk.create(body))

    async def _inspect(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        return await self.door.streamed(request, lambda: self.desk.inspect(name))

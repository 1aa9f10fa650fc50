"""The routes of `bastide transfer …`. What changes something is audited before it does; who made
or released a bundle stands in the log under its digest."""

from concurrent.futures import Executor
from dataclasses import dataclass

from aiohttp import web

from bastide.operators import progress
from bastide.operators.fields import fields
from bastide.operators.off_loop import answered, audited
from bastide.operators.ports import Trail, TransferDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    desk: TransferDesk
    trail: Trail

    def add_to(self, app: web.Application, executor: Executor) -> None:
        routes = _Routes(self.desk, self.trail, executor)
        app.router.add_get("/transfers", routes.rows)
        app.router.add_post("/transfers", routes.create)
        app.router.add_post("/transfers/{name}/inspect", routes.inspect)
        app.router.add_post("/transfers/{name}/send", routes.send)
        app.router.add_post("/transfers/{name}/send-udp", routes.send_udp)
        app.router.add_post("/transfers/{name}/filter", routes.filter)
        app.router.add_post("/transfers/{name}/items/{number:[0-9]{1,6}}", routes.review)
        app.router.add_post("/transfers/{name}/release", routes.release)
        app.router.add_post("/transfers-receive", routes.receive)
        app.router.add_get("/transfers-anchor", routes.anchor)
        app.router.add_post("/transfers-trust", routes.trust)


@dataclass(frozen=True, slots=True)
class _Routes:
    desk: TransferDesk
    trail: Trail
    executor: Executor

    async def rows(self, request: web.Request) -> web.StreamResponse:
        return await answered(self.executor, self.desk.rows)

    async def anchor(self, request: web.Request) -> web.StreamResponse:
        return await answered(self.executor, self.desk.anchor)

    async def trust(self, request: web.Request) -> web.StreamResponse:
        text = (await fields(request, anchor=str))["anchor"]
        await audited(self.trail, "TrustRegion", {})
        return await answered(self.executor, lambda: self.desk.trust(text))

    async def send(self, request: web.Request) -> web.StreamResponse:
        name, spool = request.match_info["name"], (await fields(request, spool=str))["spool"]
        await audited(self.trail, "SendTransfer", {"bundle": name, "spool": spool})
        return await progress.stream(request, self.executor, lambda: self.desk.send(name, spool))

    async def send_udp(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        way = await fields(request, udp=str, rate_mbit=int, parity=int, passes=int)
        await audited(self.trail, "SendTransfer", {"bundle": name, "udp": way["udp"]})
        return await progress.stream(request, self.executor, lambda: self.desk.send_udp(name, way))

    async def receive(self, request: web.Request) -> web.StreamResponse:
        spool = (await fields(request, spool=str))["spool"]
        await audited(self.trail, "ReceiveTransfers", {"spool": spool})
        return await progress.stream(request, self.executor, lambda: self.desk.receive(spool))

    async def filter(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        await audited(self.trail, "FilterTransfer", {"bundle": name})
        return await progress.stream(request, self.executor, lambda: self.desk.filter(name))

    async def review(self, request: web.Request) -> web.StreamResponse:
        name, number = request.match_info["name"], int(request.match_info["number"])
        return await progress.stream(request, self.executor, lambda: self.desk.review(name, number))

    async def release(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        body = await fields(request, agency=str, bucket=str, prefix=str)
        await audited(self.trail, "ReleaseTransfer", {"bundle": name, **body})
        return await progress.stream(request, self.executor, lambda: self.desk.release(name, body))

    async def create(self, request: web.Request) -> web.StreamResponse:
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
        await audited(self.trail, "CreateTransfer", body)
        return await progress.stream(request, self.executor, lambda: self.desk.create(body))

    async def inspect(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        return await progress.stream(request, self.executor, lambda: self.desk.inspect(name))

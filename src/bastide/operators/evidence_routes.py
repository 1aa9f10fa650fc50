"""The routes of `bastide audit deliver|retire|rotate-digest-key` and `bastide receipt get`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from bastide.evidence.retirements import Asked
from bastide.kernel.errors import ServiceError
from bastide.operators.approval_routes import requester
from bastide.operators.door import Door
from bastide.operators.fields import fields
from bastide.operators.ports import ReceiptDesk, RetirementDesk, RotationDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRoutes:
    """`deliver` answers what `audit deliver` prints."""

    receipts: ReceiptDesk
    retirements: RetirementDesk
    rotation: RotationDesk
    deliver: Callable[[str], Sequence[Mapping[str, Any]]]
    door: Door

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/trails-deliver", self._deliver)
        app.router.add_post("/audit-retire", self._retire)
        app.router.add_post("/digest-key-rotate", self._rotate)
        app.router.add_get("/receipts/{id}", self._receipt)

    async def _deliver(self, request: web.Request) -> web.StreamResponse:
        account = str((await fields(request, "account"))["account"])
        await self.door.audited("DeliverTrails", {"account": account})
        return await self.door.answered(lambda: self.deliver(account))

    async def _retire(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, "before", "up_to", officer=str)
        asked = _asked(body["before"], body["up_to"], requester(body["officer"]))
        told = {"before": str(body["before"] or ""), "up_to": str(body["up_to"] or "")}
        await self.door.audited("AskRetirement", told)
        return await self.door.answered(lambda: self.retirements.retire(asked))

    async def _rotate(self, request: web.Request) -> web.StreamResponse:
        asks = requester((await fields(request, officer=str))["officer"])
        await self.door.audited("RotateDigestKey", {"requester": asks})
        return await self.door.answered(lambda: self.rotation.rotate(asks))

    async def _receipt(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["id"]
        return await self.door.answered(lambda: {"receipt": self.receipts.receipt(name).text()})


def _asked(before: object, up_to: object, asks: str) -> Asked:
    """Exactly one of a moment (ISO 8601; UTC if it does not say) and an index."""
    match before, up_to:
        case str(), None:
            try:
                moment = datetime.fromisoformat(before)
            except ValueError as error:
                raise ServiceError("ValidationException", "That is no date.") from error
            return Asked(requester=asks, before=moment.replace(tzinfo=moment.tzinfo or UTC))
        case None, int() if type(up_to) is int and up_to >= 0:
            return Asked(requester=asks, up_to=up_to)
    raise ServiceError("ValidationException", "Say before when, or up to which record.")

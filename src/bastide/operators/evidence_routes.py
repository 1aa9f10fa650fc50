"""The routes of `bastide audit deliver|retire` and `bastide receipt get`."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from bastide.evidence.retirements import Asked
from bastide.kernel.errors import ServiceError
from bastide.operators.approval_routes import requester
from bastide.operators.fields import fields
from bastide.operators.off_loop import answered, audited
from bastide.operators.ports import ReceiptDesk, RetirementDesk, Trail


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRoutes:
    """`deliver` answers what `audit deliver` prints."""

    receipts: ReceiptDesk
    retirements: RetirementDesk
    deliver: Callable[[str], Sequence[Mapping[str, Any]]]
    trail: Trail

    def add_to(self, app: web.Application, executor: Executor) -> None:
        routes = _Routes(self, executor)
        app.router.add_post("/trails-deliver", routes.deliver)
        app.router.add_post("/audit-retire", routes.retire)
        app.router.add_get("/receipts/{id}", routes.receipt)


@dataclass(frozen=True, slots=True)
class _Routes:
    desks: EvidenceRoutes
    executor: Executor

    async def deliver(self, request: web.Request) -> web.StreamResponse:
        account = str((await fields(request, "account"))["account"])
        await audited(self.desks.trail, "DeliverTrails", {"account": account})
        return await answered(self.executor, lambda: self.desks.deliver(account))

    async def retire(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, "before", "up_to", officer=str)
        asked = _asked(body["before"], body["up_to"], requester(body["officer"]))
        told = {"before": str(body["before"] or ""), "up_to": str(body["up_to"] or "")}
        await audited(self.desks.trail, "AskRetirement", told)
        return await answered(self.executor, lambda: self.desks.retirements.retire(asked))

    async def receipt(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["id"]
        return await answered(
            self.executor, lambda: {"receipt": self.desks.receipts.receipt(name).text()}
        )


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

"""Requests for approval: asked, signed by officers, used once. `kernel.approvals.Approvals`.

Each change is decided twice: on what is stored, so that its audit record (also that of a refusal)
comes first, and again within the transaction that makes it. An approval is used up in the
transaction of its effect, or durably before an effect that is no row: after a crash it may be
lost, and is never used twice.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from bastide.db import Database
from bastide.kernel.approvals import OFFICER, Kind, NotApproved, canonical
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import Ids
from bastide.kernel.statements import Statement, Verdict
from bastide.policy import approval_records as records
from bastide.policy import two_persons
from bastide.policy.agreement import Agreement
from bastide.policy.approval_model import Officers, Refusal, Refused, Request, Standing, Terms
from bastide.policy.ports import Trail

OPEN_MAX = 1000  # of one agency: none can fill the book for the others
LISTED_MAX = 1000
DONE = {
    Verdict.ASK: "SignRequest",
    Verdict.APPROVE: "ApproveRequest",
    Verdict.REJECT: "RejectRequest",
    Verdict.BREAK_GLASS: "BreakGlass",
}
T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalBook:
    """All requests of one region. `region` is in every statement."""

    region: str
    database: Database
    clock: Clock
    ids: Ids
    trail: Trail
    terms: Terms
    agreement: Agreement

    def request(self, kind: Kind, action: Mapping[str, Any], requester: str) -> str:
        return self._asked(kind, action, requester).id

    def require(self, kind: Kind, action: Mapping[str, Any], requester: str) -> str:
        return self._carried_out(kind, action, requester, _nothing)[0]

    def carry_out(
        self,
        kind: Kind,
        action: Mapping[str, Any],
        requester: str,
        effect: Callable[[Connection], T],
    ) -> T:
        return self._carried_out(kind, action, requester, effect)[1]

    def _carried_out(
        self,
        kind: Kind,
        action: Mapping[str, Any],
        requester: str,
        effect: Callable[[Connection], T],
    ) -> tuple[str, T]:
        request = self._asked(kind, action, requester)
        officers = self.database.read(records.all_officers)
        state = two_persons.standing(request, officers, self.now_ms())
        if state is not Standing.APPROVED:
            self._audit("UseApproval", _facts(request), Refusal.NOT_YET)
            raise NotApproved(request.id, self._waits(request, state, officers))
        self._audit("UseApproval", _facts(request))

        def use(c: Connection) -> T:
            found, officers, now_ms = (
                self._found(c, request.id),
                records.all_officers(c),
                self.now_ms(),
            )
            after = two_persons.used(found, officers, now_ms)
            self.agreement.check(found, officers, now_ms)
            records.store(c, found, after)
            return effect(c)

        return request.id, self._write("UseApproval", _facts(request), use)

    def sign(self, body: Mapping[str, Any], signature: str) -> Request:
        """Take an officer's word: `body` is the statement that they signed."""
        statement = _decoded(body)
        facts = {
            "request": statement.request, "officer": statement.officer, "reason": statement.reason,
            "kind": statement.kind, "digest": statement.digest,
        }  # fmt: skip
        done = DONE[statement.verdict]

        def change(c: Connection) -> tuple[Request, Request]:
            before = self._found(c, statement.request)
            officers = records.all_officers(c)
            return before, two_persons.signed(
                before, statement, signature, officers, now_ms=self.now_ms(), terms=self.terms
            )

        def write(c: Connection) -> Request:
            before, after = change(c)
            after = self._closed(c, after)
            records.store(c, before, after)
            if statement.verdict is Verdict.BREAK_GLASS:
                records.add_request(c, self._countersignature(after, statement))
            return after

        self._refusals(done, facts, lambda: self.database.read(change))
        self._audit(done, facts)
        if statement.verdict is Verdict.BREAK_GLASS:
            logger.warning(
                "BREAK GLASS: %s, alone, request %s", statement.officer, statement.request
            )
        return self._write(done, facts, write)

    def find(self, request_id: str) -> Request:
        return self.database.read(lambda c: self._found(c, request_id))

    def listed(self, *, all_: bool) -> list[Request]:
        since = None if all_ else self.now_ms()
        wanted = records.Wanted(limit=LISTED_MAX, open_at_ms=since)
        return self.database.read(lambda c: records.listed(c, self.region, wanted))

    def open_glass(self) -> list[Request]:
        """Glass that was broken and that nobody countersigned in time, or yet."""
        return self.database.read(lambda c: records.uncountersigned(c, self.region, LISTED_MAX))

    def standing(self, request: Request, officers: Officers) -> Standing:
        return two_persons.standing(request, officers, self.now_ms())

    def now_ms(self) -> int:
        return epoch_ms(self.clock.now())

    def _asked(self, kind: Kind, action: Mapping[str, Any], requester: str) -> Request:
        """The open request for exactly this; a new one if there is none."""
        assert kind is not Kind.BREAK_GLASS, "only an officer's own word begins that"
        new = self._new(kind, canonical(action), requester, self.terms.valid_ms)
        found = self.database.read(lambda c: records.find_open(c, new))
        if found is not None:
            return found
        self._audit("RequestApproval", _facts(new))

        def ask(c: Connection) -> Request:
            there = records.find_open(c, new)
            if there is not None:
                return there
            if records.count_open(c, new) >= OPEN_MAX:
                raise Unavailable("Too many requests wait for approval: bastide approvals list")
            records.add_request(c, new)
            return new

        return self.database.write(ask)

    def _new(self, kind: Kind, action: str, requester: str, valid_ms: int) -> Request:
        now_ms = self.now_ms()
        wait_ms = self.terms.wait_ms(kind, msgspec.json.decode(action))
        return Request(
            id=self.ids.uuid(), region=self.region, kind=kind, action=action, requester=requester,
            nonce=self.ids.token(16).hex(), created_ms=now_ms,
            expires_ms=now_ms + valid_ms + wait_ms, wait_ms=wait_ms,
        )  # fmt: skip

    def _countersignature(self, broken: Request, statement: Statement) -> Request:
        """The request for the second person's word on what the first has done alone."""
        action = {
            "request": broken.id, "kind": broken.kind.value, "digest": broken.digest,
            "officer": statement.officer, "reason": statement.reason,
        }  # fmt: skip
        requester = OFFICER + statement.officer
        return self._new(Kind.BREAK_GLASS, canonical(action), requester, self.terms.countersign_ms)

    def _closed(self, c: Connection, request: Request) -> Request:
        """A countersignature has no effect but to be there: with it, the request has ended."""
        officers, now_ms = records.all_officers(c), self.now_ms()
        if request.kind is not Kind.BREAK_GLASS:
            return request
        given = two_persons.standing(request, officers, now_ms) is Standing.APPROVED
        return two_persons.used(request, officers, now_ms) if given else request

    def _found(self, c: Connection, request_id: str) -> Request:
        found = records.find(c, self.region, request_id)
        if found is None:
            raise Refused(Refusal.NO_REQUEST, f"There is no request {request_id}.")
        return found

    def _waits(self, request: Request, state: Standing, officers: Officers) -> str:
        see = f"See: bastide approvals show {request.id}"
        match state:
            case Standing.UNSIGNED:
                why = f"{request.requester} has to sign it"
            case Standing.WAITING:
                why = "it is approved, and its waiting time is not over"
            case _:
                wanted = two_persons.missing(request, officers)
                why = f"it waits for the signature of a {', a '.join(wanted)}"
        return f"A {request.kind} is not done by one person. Request {request.id}: {why}. {see}"

    def _audit(self, action: str, facts: Mapping[str, str], code: str = "") -> None:
        """The record is durable before the effect."""
        self.trail.operator(action, facts, code).result()

    def _refusals(self, action: str, facts: Mapping[str, str], work: Callable[[], T]) -> T:
        """`work`; what the rules refuse is on record before it is told."""
        try:
            return work()
        except Refused as error:
            self._audit(action, facts, error.why)
            raise

    def _write(self, action: str, facts: Mapping[str, str], work: Callable[[Connection], T]) -> T:
        return self._refusals(action, facts, lambda: self.database.write(work))


def _nothing(connection: Connection) -> None:
    return None


def _facts(request: Request) -> dict[str, str]:
    return {
        "request": request.id, "kind": request.kind.value, "digest": request.digest,
        "requester": request.requester,
    }  # fmt: skip


def _decoded(body: Mapping[str, Any]) -> Statement:
    try:
        return msgspec.convert(body, Statement)
    except msgspec.ValidationError as error:
        raise ServiceError("ValidationException", f"Not an officer's statement: {error}") from error

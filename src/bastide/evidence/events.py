"""cloudtrail.LookupEvents, answered from the Merkle log itself.

A look-up reads one account's records, the newest first, and filters as it reads; it stops after
a bounded number of records, with fewer events and a token, as CloudTrail does. It reads only what
the session dominates, so that what is above changes neither page nor token.
"""

import base64
import binascii
import json
import struct
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from bastide.audit import records, retirement_records
from bastide.audit.model import Kind, decode
from bastide.audit.proofs import Proofs
from bastide.audit.records import Span
from bastide.db import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.evidence.cloudtrail import Event, has_receipt, is_management
from bastide.evidence.ports import Sealer
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.operation import operation

RESULTS_MAX = 50
SCANNED_MAX = 20_000
KEPT = timedelta(days=90)
_PAGE = 1_000
_PURPOSE = "cloudtrail.NextToken"
_PLACE = struct.Struct(">4q")  # of one size: its length tells nothing of how long the log is

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Filter:
    """At most one attribute, as CloudTrail has it, and the bytes that a match must hold."""

    key: str
    value: str
    needle: bytes

    def takes(self, event: Event) -> bool:
        match self.key:
            case "":
                return True
            case "EventId":
                return event.call.id == self.value
            case "EventName":
                return event.name == self.value
            case "ReadOnly":
                return event.read_only == self.value
            case "Username":
                return event.username == self.value
            case "EventSource":
                return event.source == self.value
            case "AccessKeyId":
                return event.call.access_key == self.value
            case "ResourceType":
                return any(each.get("ResourceType") == self.value for each in event.resources)
        return self.value in event.call.resources.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """The recorded calls of an account."""

    database: Database
    labels: LabelsInUse
    labelling: Labelling
    sealer: Sealer
    clock: Clock
    proofs: Proofs

    @operation("LookupAttributes", "StartTime", "EndTime", "MaxResults", "NextToken")
    def lookup_events(self, call: Call, req: Params) -> Params:
        if req.get("EventCategory"):
            raise unsupported(call.operation, "EventCategory=insight")
        limit = _limit(req.get("MaxResults"))
        wanted = _filter(req.get("LookupAttributes") or [])
        asked = _asked(req)
        span = self._span(call, req, asked)

        session = call.principal.session

        def look(connection: Connection) -> tuple[list[Event], tuple[int, int] | None]:
            found, after = _look(connection, span, wanted, limit, session)
            if wanted.key != "EventId":
                return found, after
            return [self._with_receipt(connection, event) for event in found], after

        events, after = self.database.read(look)
        answer: Params = {"Events": [event.answer(call.region) for event in events]}
        if after is not None:
            answer["NextToken"] = self._token(call, asked, span, after)
        return answer

    def _with_receipt(self, connection: Connection, event: Event) -> Event:
        """Of one event that was asked for by name: with the receipt of its inference, if it was
        one and a checkpoint covers it already."""
        receipt = self.proofs.signed_receipt(connection, event.index)
        return event if receipt is None else replace(event, receipt=receipt.text())

    def _span(self, call: Call, req: Params, asked: str) -> Span:
        now = self.clock.now()
        start: datetime = req.get("StartTime") or now - KEPT
        end: datetime = req.get("EndTime") or now + timedelta(days=1)
        if start > end:
            raise ServiceError(
                "InvalidTimeRangeException", "The start time must not be after the end time."
            )
        token = req.get("NextToken")
        since, until, before = epoch_ms(start), epoch_ms(end), None
        if token is not None:
            since, until, *place = self._place(call, asked, token)
            before = (place[0], place[1])
        session = call.principal.session
        return Span(
            account=call.account,
            since_ms=since,
            until_ms=until,
            labels=self.labels.view(session).seen,
            unlabelled=session.dominates(self.labelling.default),
            before=before,
        )

    def _token(self, call: Call, asked: str, span: Span, after: tuple[int, int]) -> str:
        place = _PLACE.pack(span.since_ms, span.until_ms, *after)
        return base64.b64encode(self.sealer.seal(_PURPOSE, place, _aad(call, asked))).decode()

    def _place(self, call: Call, asked: str, token: str) -> tuple[int, ...]:
        try:
            sealed = base64.b64decode(token, validate=True)
            return _PLACE.unpack(self.sealer.open(_PURPOSE, sealed, _aad(call, asked)))
        except (binascii.Error, ValueError, struct.error):
            raise ServiceError(
                "InvalidNextTokenException", "The token is invalid, or is of another look-up."
            ) from None


def _aad(call: Call, asked: str) -> bytes:
    return f"{call.account}\n{asked}".encode("utf-8", "replace")


def _asked(req: Params) -> str:
    """The look-up that a token belongs to: everything but the token and the page's size."""
    kept = {key: req[key] for key in ("LookupAttributes", "StartTime", "EndTime") if req.get(key)}
    return json.dumps(kept, sort_keys=True, default=str)


def _limit(asked: int | None) -> int:
    if asked is not None and not 1 <= asked <= RESULTS_MAX:
        raise ServiceError(
            "InvalidMaxResultsException", f"MaxResults must be between 1 and {RESULTS_MAX}."
        )
    return asked or RESULTS_MAX


def _filter(attributes: list[dict[str, str]]) -> _Filter:
    if not attributes:
        return _Filter("", "", b"")
    if len(attributes) > 1:
        raise ServiceError(
            "InvalidLookupAttributesException", "Only one lookup attribute can be given."
        )
    key, value = attributes[0]["AttributeKey"], attributes[0]["AttributeValue"]
    held = key in ("EventId", "EventName", "Username", "AccessKeyId", "ResourceName")
    return _Filter(key, value, msgspec.json.encode(value)[1:-1] if held else b"")


def _look(
    connection: Connection, span: Span, wanted: _Filter, limit: int, session: Label
) -> tuple[list[Event], tuple[int, int] | None]:
    """Events, and where to go on, or None at the end."""
    found: list[Event] = []
    scanned = 0
    span = replace(span, first=retirement_records.retired(connection))
    while scanned < SCANNED_MAX:
        page = records.newest_first(connection, span, _PAGE)
        for time_ms, index, body in page:
            event = _event(index, body, wanted, session)
            if event is not None:
                found.append(event)
            if len(found) == limit:
                return _ended(connection, found), (time_ms, index)
        if len(page) < _PAGE:
            return _ended(connection, found), None
        scanned += len(page)
        span = replace(span, before=(page[-1][0], page[-1][1]))
    return _ended(connection, found), span.before


def _event(index: int, body: bytes, wanted: _Filter, session: Label) -> Event | None:
    if wanted.needle not in body:
        return None
    record = decode(body)
    if record.kind not in (Kind.CALL, Kind.DENIED) or not _is_shown(record.operation, wanted):
        return None
    if record.label and not session.dominates(session.scheme.parse(record.label)):
        return None  # whatever its column says: that is not what was signed
    event = Event(record, index=index)
    return event if wanted.takes(event) else None


def _is_shown(operation: str, wanted: _Filter) -> bool:
    """Management events, as CloudTrail has it; and by its id one that may have a receipt."""
    return is_management(operation) or (wanted.key == "EventId" and has_receipt(operation))


def _ended(connection: Connection, found: list[Event]) -> list[Event]:
    """The events with how they ended, where that is known."""
    if not found:
        return []
    ends = records.ends(connection, [event.index for event in found])
    return [
        replace(event, end=decode(ends[event.index][1])) if event.index in ends else event
        for event in found
    ]

"""Officers and requests for approval, as `bastide officer …` and `bastide approvals …` see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bastide.kernel.clock import moment
from bastide.kernel.statements import fingerprint, parse_public
from bastide.policy.approval_model import Officer, Officers, Request
from bastide.policy.approvals import ApprovalBook
from bastide.policy.officers import NewOfficer, OfficerBook
from bastide.policy.two_persons import missing

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRoom:
    book: ApprovalBook
    officers: OfficerBook

    def rows(self, *, all_: bool) -> list[Row]:
        officers = self._officers()
        return [self._row(one, officers) for one in self.book.listed(all_=all_)]

    def show(self, request_id: str) -> Row:
        """With all that an officer's statement is about."""
        return self._shown(self.book.find(request_id))

    def sign(self, statement: Mapping[str, Any], signature: str) -> Row:
        return self._shown(self.book.sign(statement, signature))

    def open_glass(self) -> list[Row]:
        """What officers did alone and nobody has countersigned: for `bastide status`."""
        officers = self._officers()
        return [
            {**self._row(one, officers), **_named(one.what, "officer", "kind", "reason")}
            for one in self.book.open_glass()
        ]

    def officer_rows(self) -> list[Row]:
        return [_officer_row(one) for one in self.officers.list()]

    def enrol(self, new: NewOfficer, requester: str) -> Row:
        return _officer_row(self.officers.enrol(new, requester))

    def suspend(self, name: str) -> Row:
        return _officer_row(self.officers.suspend(name))

    def reinstate(self, name: str, requester: str) -> Row:
        return _officer_row(self.officers.reinstate(name, requester))

    def _officers(self) -> Officers:
        return {one.name: one for one in self.officers.list()}

    def _shown(self, request: Request) -> Row:
        return {
            **self._row(request, self._officers()),
            "region": request.region,
            "action": request.what,
            "expires_ms": request.expires_ms,
            "wait_ms": request.wait_ms,
            "nonce": request.nonce,
            "signatures": [_signature(one.officer, one.verdict, one.at_ms, one.reason)
                           for one in request.signatures],
        }  # fmt: skip

    def _row(self, request: Request, officers: Officers) -> Row:
        return {
            "id": request.id,
            "kind": request.kind.value,
            "standing": self.book.standing(request, officers).value,
            "requester": request.requester,
            "missing": [] if request.ended else [role.value for role in missing(request, officers)],
            "created": _told(request.created_ms),
            "expires": _told(request.expires_ms),
            "digest": request.digest,
        }


def _signature(officer: str, verdict: str, at_ms: int, reason: str) -> Row:
    return {"officer": officer, "verdict": verdict, "at": _told(at_ms), "reason": reason}


def _officer_row(officer: Officer) -> Row:
    return {
        "name": officer.name,
        "roles": sorted(role.value for role in officer.roles),
        "suspended": officer.suspended,
        "known_as": list(officer.known_as),
        "key_sha256": fingerprint(parse_public(officer.public_key)),
        "enrolled": _told(officer.enrolled_ms),
    }


def _named(action: Mapping[str, Any], *names: str) -> Row:
    return {name: action[name] for name in names}


def _told(at_ms: int) -> str:
    return moment(at_ms).isoformat(timespec="seconds")

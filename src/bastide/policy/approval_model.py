"""Officers, and the requests that they sign: what two-person integrity is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from bastide.kernel.approvals import Kind, digest_of
from bastide.kernel.errors import ServiceError
from bastide.kernel.statements import Statement, Verdict

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS


class Role(StrEnum):
    """What an officer may sign for."""

    SECURITY_OFFICER = "security-officer"
    REVIEWER = "reviewer"
    RELEASER = "releaser"
    KEY_CUSTODIAN = "key-custodian"
    AUDITOR = "auditor"


class Refusal(StrEnum):
    """Why a signature, or the use of an approval, is refused."""

    NO_REQUEST = "NoSuchRequest"
    NO_OFFICER = "UnknownOfficer"
    FORGED = "BadSignature"
    OTHER_REGION = "WrongRegion"
    MUTATED = "NotThisRequest"
    SUSPENDED = "SuspendedOfficer"
    EXPIRED = "Expired"
    USED = "AlreadyUsed"
    REJECTED = "AlreadyRejected"
    SELF = "SelfApproval"
    AGAIN = "SignedBefore"
    ROLE = "WrongRole"
    ENOUGH = "EnoughSignatures"
    UNASKED = "RequesterHasNotSigned"
    NOT_ASKER = "NotTheRequester"
    NO_GLASS = "NoBreakGlass"
    REASON = "NoReason"
    NOT_YET = "NotApproved"
    TOO_LATE = "WaitsBeyondExpiry"
    ENGINE = "SecondEngineRefuses"


class Refused(ServiceError):
    """What an officer, or who carries out an action, may not do. `why` is for the audit log."""

    def __init__(self, why: Refusal, message: str) -> None:
        super().__init__("AccessDeniedException", message, status=403)
        self.why = why


class Standing(StrEnum):
    """How a request stands now."""

    UNSIGNED = "unsigned"  # by the officer who asks
    PENDING = "pending"
    WAITING = "waiting"  # approved, and its waiting time runs
    APPROVED = "approved"
    EXPIRED = "expired"
    REJECTED = "rejected"
    USED = "used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Officer:
    """A person. `known_as`: what else they are called when they ask for something, e.g. the ARN
    of their own user, so that they cannot approve that."""

    name: str
    roles: frozenset[Role]
    public_key: str
    known_as: tuple[str, ...] = ()
    suspended: bool = False
    enrolled_ms: int = 0


Officers = Mapping[str, Officer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """One officer's word on a request."""

    officer: str
    verdict: Verdict
    reason: str
    signature: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`action` is canonical JSON. `ended`: "", or how: "used" or "rejected"."""

    id: str
    region: str
    kind: Kind
    action: str
    requester: str
    nonce: str
    created_ms: int
    expires_ms: int
    wait_ms: int = 0
    signatures: tuple[Signed, ...] = ()
    ended: str = ""
    ended_ms: int = 0

    @property
    def what(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.action)
        return decoded

    @property
    def digest(self) -> str:
        return digest_of(self.what)

    def statement(self, verdict: Verdict, officer: str, reason: str) -> Statement:
        """What an officer signs of this request."""
        return Statement(
            region=self.region, request=self.id, kind=self.kind, digest=self.digest,
            requester=self.requester, expires_ms=self.expires_ms,
            wait_ms=self.wait_ms, nonce=self.nonce,
            verdict=verdict, officer=officer, reason=reason,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a site chooses. `glass`: kinds that an officer may do alone, and answer for."""

    valid_ms: int = 7 * DAY_MS
    key_wait_ms: int = 7 * DAY_MS
    countersign_ms: int = DAY_MS
    glass: frozenset[Kind] = frozenset({Kind.CLEARANCE_GRANT, Kind.GUARDRAIL_LOOSENING})

    def wait_ms(self, kind: Kind, action: Mapping[str, Any]) -> int:
        """How long after the last signature. A deletion that has a pending window of its own, as
        KMS's has, is not made to wait twice."""
        if kind is not Kind.KEY_DELETION:
            return 0
        window = action.get("pending_window_days", 0)
        own_ms = window * DAY_MS if isinstance(window, int) else 0
        return 0 if own_ms >= self.key_wait_ms else self.key_wait_ms

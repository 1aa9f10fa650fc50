"""What needs two persons, and how who carries it out asks whether they agreed.

One line before the effect: `approvals.require(Kind.DOWNGRADE, action, requester)`. It raises
`NotApproved`, which names the request that now waits for signatures; the same call again, when
they are there, uses them up, once. Where the effect is a row, `carry_out` does both in one
transaction. An action is JSON that says exactly what will happen: its digest is what is signed.
"""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from bastide.kernel.errors import ServiceError

ACTION_SIZE_MAX = (2 << 20) + 64 * 1024  # what an agency is, in words, with its escapes
OPERATOR = "operator"  # a requester who owns the operators' socket, and is no person
OFFICER = "officer/"  # a requester who is an officer, and who signs the request itself
T = TypeVar("T")


class Kind(StrEnum):
    """What no person may do alone."""

    DOWNGRADE = "downgrade"
    TRANSFER_RELEASE = "transfer-release"
    GUARDRAIL_LOOSENING = "guardrail-loosening"
    KEY_DELETION = "key-deletion"
    AUDIT_RETIREMENT = "audit-retirement"
    CLEARANCE_GRANT = "clearance-grant"
    BREAK_GLASS = "break-glass"
    AGENCY_SHARE = "agency-share"
    TRUST_ANCHOR_CHANGE = "trust-anchor-change"
    ADMINISTRATOR_KEYS = "administrator-keys"
    TRANSFER_REVIEW = "transfer-review"


class NotApproved(ServiceError):
    """The action waits for the signatures that `request_id` asks for."""

    def __init__(self, request_id: str, message: str) -> None:
        super().__init__("AccessDeniedException", message, status=403)
        self.request_id = request_id


class Approvals(Protocol):
    """Requests for approval of exact actions. `requester`: who asks, as they were authenticated:
    an ARN, `operator` for the owner of the operators' socket, or `officer/NAME`."""

    def request(self, kind: Kind, action: Mapping[str, Any], requester: str) -> str:
        """The id of the open request for exactly this, which is made if there is none."""
        ...

    def require(self, kind: Kind, action: Mapping[str, Any], requester: str) -> str:
        """Use up the approval of exactly this, durably; answers the request's id. Raises
        NotApproved, with the id of the request that waits, when there is none to use."""
        ...

    def carry_out(
        self,
        kind: Kind,
        action: Mapping[str, Any],
        requester: str,
        effect: Callable[[Any], T],
    ) -> T:
        """`require`, and `effect(connection)` in the same transaction: both or neither."""
        ...


def canonical(action: Mapping[str, Any]) -> str:
    """The one spelling of an action. ValueError for what has none: numbers with a fraction,
    names that are no text."""
    _check(action)
    text = json.dumps(action, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > ACTION_SIZE_MAX:
        raise ValueError(f"an action has at most {ACTION_SIZE_MAX} bytes")
    return text


def digest_of(action: Mapping[str, Any]) -> str:
    return sha256(canonical(action).encode()).hexdigest()


def _check(value: object) -> None:
    """Only what every JSON parser reads alike."""
    match value:
        case None | bool() | int() | str():
            return
        case list() | tuple():
            for each in value:
                _check(each)
        case Mapping():
            for name, each in value.items():
                if not isinstance(name, str):
                    raise ValueError(f"not a name: {name!r}")
                _check(each)
        case _:
            raise ValueError(f"not exact: {value!r}")

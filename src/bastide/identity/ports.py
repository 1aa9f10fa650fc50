"""What identity needs from the key store and from policy; joined in `app.py`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bastide.kernel.call import Call


class Sealer(Protocol):
    """Small secrets under the region's key. `open` raises ValueError when one was changed."""

    def seal(self, purpose: str, plain: bytes, aad: bytes = b"") -> bytes: ...

    def open(self, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The policies of a simulation, each with an id of where it is from. `caller` is what the
    resource policy calls the one who asks."""

    identity: Sequence[tuple[str, str]]
    boundary: Sequence[tuple[str, str]] | None
    resource: str | None
    caller: str


class Verdict(Protocol):
    """A decision of the policy evaluator."""

    @property
    def allowed(self) -> bool: ...

    @property
    def explicit_deny(self) -> bool: ...

    @property
    def outside_boundary(self) -> bool: ...

    @property
    def matched(self) -> Sequence[str]: ...


class Simulated(Protocol):
    """A decision that was tried out, and the condition keys (in lower case) that it lacked."""

    @property
    def decision(self) -> Verdict: ...

    @property
    def missing(self) -> Collection[str]: ...


class Checks(Protocol):
    """Policy documents, judged."""

    def check(self, text: str, kind: str, code: str = "MalformedPolicyDocument") -> None: ...

    def trusts(self, call: Call, params: Mapping[str, Any], action: str, document: str) -> bool: ...

    def trusts_service(self, document: str, service: str, account: str) -> bool: ...

    def permits_more(
        self, call: Call, action: str, resource: str, more: Mapping[str, str]
    ) -> bool: ...

    def simulate(
        self,
        case: Case,
        action: str,
        resource: str,
        context: Mapping[str, str | Sequence[str]],
    ) -> Simulated: ...

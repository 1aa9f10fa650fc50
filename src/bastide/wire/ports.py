"""What the gateway needs from the trusted core; joined in `app.py`."""

from collections.abc import Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Protocol

from bastide.kernel.call import Call, Credential, Principal


class Credentials(Protocol):
    """Both answer None for what is unknown, inactive or expired, in the same time either way."""

    def find(
        self, access_key_id: str, session_token: str | None, now: datetime
    ) -> Credential | None:
        """The credential behind an access key id. An ASIA key needs its session token."""
        ...

    def bearer(self, token: str, now: datetime) -> Principal | None:
        """Who holds a Bedrock API key (`AWS_BEARER_TOKEN_BEDROCK`)."""
        ...


class Authorizer(Protocol):
    def canonical(self, call: Call, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with each name in its one spelling, before anybody acts on it."""
        ...

    def authorize(self, call: Call, params: Mapping[str, Any]) -> None:
        """Raises ServiceError when the policies do not allow the call."""
        ...


class Sealer(Protocol):
    """The region's keyring."""

    def seal(self, purpose: str, plain: bytes, aad: bytes) -> bytes: ...

    def open(self, purpose: str, sealed: bytes, aad: bytes) -> bytes:
        """ValueError for what was not sealed here, for that and with that `aad`."""
        ...


class Auditor(Protocol):
    """The audit trail. Records hold no bodies, prompts, signatures or secrets."""

    def opened(self, call: Call, params: Mapping[str, Any]) -> "Future[Any]":
        """Record the intent and the decision to allow it. The future resolves when durable; no
        byte of an answer leaves before. Raises Unavailable when no record can be taken."""
        ...

    def denied(self, call: Call, params: Mapping[str, Any], code: str) -> "Future[Any]":
        """Record a call that was refused before it had an effect."""
        ...

    def rejected(self, facts: Mapping[str, str], code: str) -> "Future[Any]":
        """Record a request whose sender could not be authenticated. `facts`: request id, method,
        path, source ip, user agent, claimed access key id."""
        ...

    def further_rejected(self, source: str, count: int, since: datetime) -> "Future[Any]":
        """Record that `count` more were, from one address since then, beside those of the log."""
        ...

    def closed(self, call: Call, status: int, code: str) -> None:
        """Record how an opened call ended (`code` is "" on success). Never fails the caller."""
        ...

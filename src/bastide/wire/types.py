"""The frozen types that one request passes through: RawRequest → SignedRequest → Call."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from bastide.kernel.call import BEHIND, Body, EmptyBody, Principal
from bastide.wire.sources import source_of

Headers = tuple[tuple[str, str], ...]  # names in lower case, in the order received
Params = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Whose calls alone are taken at a side door: a role's at a label, with this door's keys."""

    door: str
    account: str
    role_arn: str
    label: str  # a marking

    @property
    def source(self) -> str:
        return f"door of {self.account}"

    def admits(self, who: Principal) -> bool:
        asked = (who.facts.get(BEHIND), who.account, who.issuer_arn, who.session.text)
        return asked == (self.door, self.account, self.role_arn, self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRequest:
    """One HTTP request as it came: nothing decoded, nothing normalised.

    `raw_path` and `raw_query` are the request target's bytes as text (latin-1), still
    percent-encoded: a model id's `%3A` and a trailing slash both matter. `bound`: it came through
    a side door of theirs (`side_doors.py`).
    """

    method: str
    raw_path: str
    raw_query: str
    headers: Headers
    secure: bool
    source_ip: str
    body: Body = field(default_factory=EmptyBody)
    bound: Bound | None = None
    _by_name: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", dict(reversed(self.headers)))

    @property
    def source(self) -> str:
        """Whose it is, before that is known, where what is shared goes by source."""
        return self.bound.source if self.bound else source_of(self.source_ip)

    def header(self, name: str) -> str | None:
        """The value of the only header of that (lower-case) name; the first if repeated."""
        return self._by_name.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request whose sender is known. `signing_name` is the credential scope's service
    (`bedrock` for four of them), or `bedrock` for a bearer key."""

    raw: RawRequest
    principal: Principal
    signing_name: str
    body: Body  # checks payload hash, chunk signatures and checksums as it is read


@dataclass(frozen=True, slots=True, kw_only=True)
class RawResponse:
    """What goes back. A body that is an iterator is sent as it comes."""

    status: int
    headers: Headers
    body: bytes | Iterator[bytes] | AsyncIterator[bytes] = b""

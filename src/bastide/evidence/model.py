"""What a trail is: a copy of one account's events, into a bucket of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """The newest digest of a chain, which the next one names."""

    key: str
    hash: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """`label`: of the session that made it: it tells what that may read. `next_index`: the first
    record of the log that was not looked at yet. `digest_from_ms`: where the digest that is under
    way begins. Either error is the newest try's."""

    account: str
    name: str
    label: str
    bucket: str
    prefix: str
    has_digests: bool
    logging: bool = False
    next_index: int = 0
    started_ms: int | None = None
    stopped_ms: int | None = None
    delivered_ms: int | None = None
    error: str = ""
    digest_from_ms: int = 0
    digest_ms: int | None = None
    digest_error: str = ""
    last: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A delivered file that waits for its digest; `hash`: of what is in it, unpacked."""

    key: str
    hash: str
    oldest_ms: int
    newest_ms: int

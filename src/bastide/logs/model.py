"""What a log group, a stream, an event and a metric are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bastide.kernel.labels.view import View

MESSAGE_SIZE_MAX = 256 * 1024  # bytes, with the 26 that AWS adds to each event
EVENT_OVERHEAD = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A log group as `view` sees it: `stored_bytes` are of the streams that it sees. Events older
    than `retention_days` are gone; None keeps them for ever."""

    id: int
    name: str
    label: str
    view: View
    created_ms: int
    retention_days: int | None = None
    stored_bytes: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A log stream of one group."""

    id: int
    name: str
    label: str
    created_ms: int
    first_ms: int | None = None
    last_ms: int | None = None
    ingested_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line. Events of a stream are ordered by `(at_ms, seq)`; `seq` counts its lines alone, so
    that what a token holds tells nothing of other streams."""

    stream_id: int
    seq: int
    at_ms: int
    ingested_ms: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which events: from `start_ms` up to but without `end_ms`, strictly beyond `beyond`, which
    is an event's `(at_ms, seq, stream_id)`."""

    start_ms: int
    end_ms: int
    beyond: tuple[int, int, int] | None = None
    forward: bool = True
    limit: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Values of one metric at one moment, already summed up."""

    account: str
    label: str
    namespace: str
    name: str
    dimensions: str  # canonical JSON
    at_ms: int
    unit: str
    count: float
    total: float
    minimum: float
    maximum: float

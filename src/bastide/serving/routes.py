"""Where an invocation goes: the variants of an endpoint, chosen by weight."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from bastide.db.database import Database
from bastide.serving import records
from bastide.serving.model import Endpoint, EndpointStatus, Key

CACHED_MAX = 10_000
SERVING = frozenset({EndpointStatus.IN_SERVICE, EndpointStatus.UPDATING})


@dataclass(slots=True)
class Lane:
    """A variant; `credit` is its standing in the smooth weighted round robin."""

    name: str
    weight: float
    job_id: str
    cpus: float = 0.0  # of each replica
    digest: str = ""  # of the model data, once it was asked for
    credit: float = 0.0


@dataclass(frozen=True, slots=True)
class Route:
    """The variants of an endpoint that answers. None of them: it does not answer now."""

    status: EndpointStatus
    lanes: tuple[Lane, ...]


@dataclass(slots=True, kw_only=True)
class Routes:
    """Kept in memory, and dropped by whoever changes the endpoint."""

    database: Database
    _known: dict[Key, Route] = field(default_factory=dict)
    _drops: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self, key: Key) -> Route | None:
        return self._known.get(key)

    def load(self, key: Key) -> Route | None:
        """Reads the database. What was dropped meanwhile is not kept."""
        drops = self._drops
        endpoint = self.database.read(lambda c: records.find_endpoint(c, key))
        if endpoint is None:
            return None
        route = _route(endpoint)
        with self._lock:
            if drops == self._drops and len(self._known) < CACHED_MAX:
                self._known[key] = route
        return route

    def drop(self, key: Key) -> None:
        with self._lock:
            self._drops += 1
            self._known.pop(key, None)


def pick(lanes: Sequence[Lane]) -> Lane:
    """Smooth weighted round robin: exact shares, evenly interleaved."""
    for lane in lanes:
        lane.credit += lane.weight
    chosen = max(lanes, key=lambda lane: lane.credit)
    chosen.credit -= sum(lane.weight for lane in lanes)
    return chosen


def _route(endpoint: Endpoint) -> Route:
    live = endpoint.live if endpoint.status in SERVING else None
    variants = live.variants if live else ()
    lanes = [Lane(each.name, each.weight, each.job_id, each.cpus) for each in variants]
    return Route(endpoint.status, tuple(lanes))

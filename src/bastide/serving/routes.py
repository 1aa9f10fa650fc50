"""Where an invocation goes: the variant by weight, the replica by who has least to do."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bastide.db.database import Database
from bastide.serving import records
from bastide.serving.model import Endpoint, EndpointStatus

CACHED_MAX = 10_000
SERVING = frozenset({EndpointStatus.IN_SERVICE, EndpointStatus.UPDATING})


@dataclass(slots=True)
class Lane:
    """A variant; `credit` is its standing in the smooth weighted round robin."""

    name: str
    weight: float
    job_id: str
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
    _known: dict[tuple[str, str], Route] = field(default_factory=dict)
    _busy: dict[Path, int] = field(default_factory=dict)
    _turn: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, account: str, name: str) -> Route | None:
        key = (account, name)
        found = self._known.get(key)
        if found is not None:
            return found
        endpoint = self.database.read(lambda c: records.find_endpoint(c, account, name))
        if endpoint is None:
            return None
        route = _route(endpoint)
        with self._lock:
            if endpoint.status is EndpointStatus.IN_SERVICE and len(self._known) < CACHED_MAX:
                self._known[key] = route
        return route

    def drop(self, account: str, name: str) -> None:
        with self._lock:
            self._known.pop((account, name), None)

    def pick(self, route: Route) -> Lane:
        """Smooth weighted round robin: exact shares, evenly interleaved."""
        with self._lock:
            for lane in route.lanes:
                lane.credit += lane.weight
            chosen = max(route.lanes, key=lambda lane: lane.credit)
            chosen.credit -= sum(lane.weight for lane in route.lanes)
            return chosen

    @contextmanager
    def replica(self, sockets: Sequence[Path]) -> Iterator[Path]:
        """The one with the fewest open requests; in turn among equals."""
        with self._lock:
            self._turn += 1
            count = len(sockets)
            order = [sockets[(self._turn + step) % count] for step in range(count)]
            chosen = min(order, key=lambda path: self._busy.get(path, 0))
            self._busy[chosen] = self._busy.get(chosen, 0) + 1
        try:
            yield chosen
        finally:
            with self._lock:
                self._busy[chosen] -= 1
                if not self._busy[chosen]:
                    del self._busy[chosen]


def _route(endpoint: Endpoint) -> Route:
    live = endpoint.live if endpoint.status in SERVING else None
    lanes = [Lane(each.name, each.weight, each.job_id) for each in live.variants] if live else []
    return Route(endpoint.status, tuple(lanes))

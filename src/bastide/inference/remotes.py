"""The servers that somebody else runs for a model of this region: several may share its requests.

One that cannot be reached is left alone for a while, longer each time; where none can, all are
tried.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from bastide.inference.lease import Lease
from bastide.inference.model import Endpoint, RemoteEngine
from bastide.inference.places import Asker, Places
from bastide.inference.replica import BackOff
from bastide.models.model import ModelCard

REQUESTS_MAX = 256  # of each server at once


@dataclass(slots=True, kw_only=True)
class Remotes:
    """`servers`: by model id."""

    servers: Mapping[str, RemoteEngine]
    back_off: BackOff
    queue_timeout_s: float
    _places: dict[str, Places] = field(default_factory=dict)

    async def lease(self, card: ModelCard, asker: Asker) -> Lease:
        """Raises PlacesFull, TimeoutError."""
        server = self.servers[card.model_id]
        places = self._places.setdefault(card.model_id, Places())
        self._join(server, places)
        async with asyncio.timeout(self.queue_timeout_s if places.waits_for(asker) else None):
            place, _ = await places.take(asker)
        endpoint = Endpoint(
            url=place.engine, key=server.key, model=server.model, ca_file=server.ca_file
        )

        def remember() -> None:
            places.remember(place)
            self.back_off.worked(place.engine)

        return Lease(endpoint, lambda: places.give_back(place), remember)

    def unreachable(self, url: str) -> None:
        """No connection to this server was to be had."""
        self.back_off.failed(url)
        for model_id, server in self.servers.items():
            if url in server.urls and model_id in self._places:
                self._places[model_id].leave(url)

    def _join(self, server: RemoteEngine, places: Places) -> None:
        up = [url for url in server.urls if not self.back_off.holds(url)] or server.urls
        for url in up:
            if not places.knows(url):
                places.join(url, REQUESTS_MAX, server.tokens_at_once)

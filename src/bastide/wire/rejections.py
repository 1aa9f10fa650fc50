"""Evidence of requests from nobody we know, bounded: anybody could fill the audit log with them.

The first of each address are recorded one by one, and then as many as its bucket lets through. The
rest are counted, and told by one record for each address and interval.
"""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bastide.kernel.clock import Clock
from bastide.kernel.errors import Unavailable
from bastide.wire.ports import Auditor
from bastide.wire.sources import source_of

logger = logging.getLogger(__name__)
BURST = 100.0
RATE = 1.0  # records per second
ALL_BURST = 2000.0
ALL_RATE = 50.0
SOURCES_MAX = 4096
INTERVAL_S = 60.0
ELSEWHERE = "elsewhere"  # addresses beyond those that are told apart


@dataclass(slots=True)
class _Bucket:
    left: float
    burst: float
    rate: float
    filled: datetime
    further: int = 0  # not recorded one by one
    since: datetime | None = None

    def take(self, now: datetime) -> bool:
        gained = max(0.0, (now - self.filled).total_seconds()) * self.rate
        self.left, self.filled = min(self.burst, self.left + gained), now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Rejections:
    """Used from the event loop only."""

    def __init__(self, auditor: Auditor, clock: Clock) -> None:
        self._auditor, self._clock = auditor, clock
        self._all = _Bucket(ALL_BURST, ALL_BURST, ALL_RATE, clock.now())
        self._sources: dict[str, _Bucket] = {}
        self._tick: asyncio.TimerHandle | None = None

    def record(self, facts: Mapping[str, str], code: str) -> "Future[Any] | None":
        """Record a rejection, or count it. Raises Unavailable as the auditor does."""
        now = self._clock.now()
        bucket = self._bucket(source_of(facts["source_ip"]), now)
        if bucket.take(now) and self._all.take(now):
            return self._auditor.rejected(facts, code)
        bucket.further += 1
        bucket.since = bucket.since or now
        return None

    def _bucket(self, source: str, now: datetime) -> _Bucket:
        if self._tick is None:
            loop = asyncio.get_running_loop()
            self._tick = loop.call_later(INTERVAL_S, self.tell)
        if source not in self._sources and len(self._sources) >= SOURCES_MAX:
            source = ELSEWHERE
        return self._sources.setdefault(source, _Bucket(BURST, BURST, RATE, now))

    def tell(self) -> None:
        """Record what was counted, and forget the addresses that have been quiet."""
        now = self._clock.now()
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        for source, bucket in list(self._sources.items()):
            if bucket.further and bucket.since is not None:
                try:
                    self._auditor.further_rejected(source, bucket.further, bucket.since)
                except Unavailable:
                    logger.warning("rejections from %s are counted on", source, exc_info=True)
                    continue
                bucket.further, bucket.since = 0, None
            elif (now - bucket.filled).total_seconds() * RATE >= BURST - bucket.left:
                del self._sources[source]
        if self._sources:
            self._tick = asyncio.get_running_loop().call_later(INTERVAL_S, self.tell)

    def close(self) -> None:
        """The last that was counted, while the log still takes records."""
        self.tell()
        if self._tick is not None:
            self._tick.cancel()

"""What the earlier calls of a view had remembered, up to their cachePoints: usage tells of that.

What an engine's place really knows depends on who else works there, above too. So it is not told:
a caller reads back what this agency at this label asked to be remembered, as long as it asked for.
A hit counts anew from then on.
https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from bastide.inference.model import Messages
from bastide.kernel.clock import Clock

View = tuple[str, str, str]  # agency, label, digest of the model

POINTS_MAX = 4  # of one request: AWS's bound; the last ones count
KNOWN_MAX = 1024  # beginnings of one view; the longest unused goes
TTL_S = {"5m": 300.0, "1h": 3600.0}


@dataclass(frozen=True)
class CachePoint:
    """The messages before it, and for how long they are to be remembered."""

    messages: Messages
    ttl_s: float

    @cached_property
    def key(self) -> bytes:
        return hashlib.blake2b(msgspec.json.encode(self.messages), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class _Beginning:
    tokens: int
    until: float


@dataclass(slots=True)
class _Known:
    until: float = 0.0
    beginnings: OrderedDict[bytes, _Beginning] = field(default_factory=OrderedDict)

    def fresh(self, key: bytes, now: float) -> int | None:
        found = self.beginnings.get(key)
        return found.tokens if found is not None and now < found.until else None

    def keep(self, key: bytes, tokens: int, until: float) -> None:
        self.beginnings[key] = _Beginning(tokens, until)
        self.beginnings.move_to_end(key)
        self.until = max(self.until, until)
        if len(self.beginnings) > KNOWN_MAX:
            self.beginnings.popitem(last=False)


@dataclass(frozen=True, slots=True)
class CachePoints:
    clock: Clock
    _views: dict[View, _Known] = field(default_factory=dict)

    async def told(
        self,
        view: View,
        points: Iterable[CachePoint],
        count: Callable[[Messages], Awaitable[int]],
    ) -> tuple[int, int]:
        """The tokens that the view had remembered, and those up to the last of the points, which
        go from the shortest beginning to the longest. All of them are remembered from now on."""
        counted = [(point, await self._counted(view, point, count)) for point in points]
        # Nothing is awaited from here on: what another view does comes before all of it, or after.
        known, now = self._of(view), self.clock.monotonic_s()
        read = up_to = 0
        for point, tokens in counted:
            if known.fresh(point.key, now) is not None:
                read = tokens
            up_to = tokens
            known.keep(point.key, tokens, now + point.ttl_s)
        return read, up_to

    async def _counted(
        self, view: View, point: CachePoint, count: Callable[[Messages], Awaitable[int]]
    ) -> int:
        had = self._views.get(view)
        tokens = had.fresh(point.key, self.clock.monotonic_s()) if had is not None else None
        return await count(point.messages) if tokens is None else tokens

    def _of(self, view: View) -> _Known:
        """Where one comes that was not there, what has no fresh beginning is forgotten."""
        known = self._views.get(view)
        if known is None:
            now = self.clock.monotonic_s()
            for other in [one for one, had in self._views.items() if had.until <= now]:
                del self._views[other]
            known = self._views[view] = _Known()
        return known

"""The places of all engines that run one model, each remembering for whom it last worked.

An engine keeps the last prompt of a place to save work on the next one. Across agencies, and across
the labels of one agency, that would tell by its speed what another has asked: only a session of the
same agency at the same label finds its place warm. Of the engines, a request goes to the one that
is the least busy, or to the one that remembers how its prompt begins, if that is hardly busier.
Who waits is served by shares: the next place goes to the agency, at one of its labels, that holds
the fewest. Were its labels counted together, a full line below would tell what waits above (0074).
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

WAITING_PER_PLACE_MAX = 64
Whose = tuple[str, str]  # an agency, at a label
BUSIER_MAX = 2  # requests that an engine may have more than another and still be chosen as warm


class PlacesFull(Exception):
    """Too many wait already."""


class PlacesClosed(Exception):
    """The last engine has ended."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose request it is, at which label; `begins` tells how its prompt begins, and `tokens` how
    many it may come to, the answer included."""

    owner: str
    label: str = ""
    begins: str = ""
    tokens: int = 0

    @property
    def whose(self) -> Whose:
        return self.owner, self.label


@dataclass(slots=True, eq=False)
class _Engine:
    """Its free places, the most recently used on the right. `tokens_left` None: no limit."""

    name: str
    count: int
    tokens_left: int | None
    free: "deque[Place]" = field(default_factory=deque)

    @property
    def busy(self) -> int:
        return self.count - len(self.free)

    def takes(self, tokens: int) -> bool:
        if not self.free:
            return False
        return self.tokens_left is None or self.busy == 0 or tokens <= self.tokens_left

    def remembering(self, asker: Asker) -> "Place | None":
        """A free place of their own: one that knows how the prompt begins, else the latest."""
        latest = None
        for place in reversed(self.free):
            if place.memory is not None and place.memory.whose == asker.whose:
                if place.memory.begins == asker.begins:
                    return place
                latest = latest or place
        return latest

    def unused(self) -> "Place":
        """A place of nobody, else the longest unused."""
        return next((place for place in self.free if place.memory is None), self.free[0])


@dataclass(slots=True, eq=False)
class Place:
    """One request's, in one engine; `number` counts from 0 there."""

    home: _Engine
    number: int
    holder: Asker | None = None
    memory: Asker | None = None

    @property
    def engine(self) -> str:
        return self.home.name


def _begins_alike(place: Place, asker: Asker) -> bool:
    return place.memory is not None and place.memory.begins == asker.begins


@dataclass(slots=True)
class Places:
    _engines: dict[str, _Engine] = field(default_factory=dict)
    _held: Counter[Whose] = field(default_factory=Counter)
    # Who was served last is last.
    _waiting: dict[Whose, deque[tuple[Asker, "asyncio.Future[Place]"]]] = field(
        default_factory=dict
    )
    _closed: bool = False

    def join(self, engine: str, count: int, tokens: int | None = None) -> None:
        """An engine that takes `count` requests at once, of `tokens` in all."""
        made = _Engine(engine, count, tokens)
        made.free.extend(Place(made, number) for number in range(count))
        self._engines[engine] = made
        self._serve()

    def leave(self, engine: str) -> None:
        """It is given no further request; those that it has may end."""
        self._engines.pop(engine, None)

    def knows(self, engine: str) -> bool:
        return engine in self._engines

    def busy(self, engine: str) -> int:
        """The requests that it works on; those of one that has left are not known."""
        found = self._engines.get(engine)
        return 0 if found is None else found.busy

    def waits_for(self, asker: Asker) -> bool:
        """Whether `take` would wait."""
        return bool(self._waiting) or not any(
            one.takes(asker.tokens) for one in self._engines.values()
        )

    async def take(self, asker: Asker) -> tuple[Place, bool]:
        """A place, and whether it is warm. Raises PlacesFull, PlacesClosed."""
        if self._closed:
            raise PlacesClosed
        place = await self._queue(asker) if self.waits_for(asker) else self._take(asker)
        warm = place.memory is not None and place.memory.whose == asker.whose
        place.memory = None  # until it is certain what the place remembers
        return place, warm

    def remember(self, place: Place) -> None:
        """The place holds nothing but a prompt of its holder now."""
        place.memory = place.holder

    def give_back(self, place: Place) -> None:
        asker, place.holder = place.holder, None
        assert asker is not None, "it is given back once"
        self._held[asker.whose] -= 1
        if not self._held[asker.whose]:
            del self._held[asker.whose]
        place.home.free.append(place)
        if place.home.tokens_left is not None:
            place.home.tokens_left += asker.tokens
        self._serve()

    def close(self) -> None:
        """Everybody who waits hears that the engine has ended."""
        self._closed = True
        for line in self._waiting.values():
            for _, one in line:
                if not one.done():
                    one.set_exception(PlacesClosed())
        self._waiting.clear()

    def _take(self, asker: Asker) -> Place:
        place = self._best(asker)
        place.home.free.remove(place)
        if place.home.tokens_left is not None:
            place.home.tokens_left -= asker.tokens
        place.holder = asker
        self._held[asker.whose] += 1
        return place

    def _best(self, asker: Asker) -> Place:
        ready = [one for one in self._engines.values() if one.takes(asker.tokens)]
        least = min(one.busy for one in ready)
        near = sorted(
            (one for one in ready if one.busy <= least + BUSIER_MAX), key=lambda one: one.busy
        )
        own = [place for one in near if (place := one.remembering(asker)) is not None]
        if own:
            return next((place for place in own if _begins_alike(place, asker)), own[0])
        return near[0].unused()

    def _serve(self) -> None:
        """Those who wait, as far as there is room; who is next is not overtaken."""
        while self._waiting:
            whose = min(self._waiting, key=lambda one: self._held[one])
            asker, waiting = self._waiting[whose][0]
            if not any(one.takes(asker.tokens) for one in self._engines.values()):
                return
            line = self._waiting.pop(whose)
            line.popleft()
            waiting.set_result(self._take(asker))
            if line:
                self._waiting[whose] = line

    async def _queue(self, asker: Asker) -> Place:
        self._make_way(asker.whose)
        place: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        entry = (asker, place)
        self._waiting.setdefault(asker.whose, deque()).append(entry)
        try:
            return await asyncio.shield(place)  # so that a line holds no cancelled place
        except asyncio.CancelledError:
            if not place.done():
                self._leave_line(asker.whose, entry)
                self._serve()  # who stood behind may fit
            elif place.exception() is None:
                self.give_back(place.result())  # it was given just as the caller went away
            raise

    def _make_way(self, whose: Whose) -> None:
        """When too many wait, the last of the longest line goes. Raises PlacesFull."""
        most = WAITING_PER_PLACE_MAX * max(1, sum(one.count for one in self._engines.values()))
        if sum(map(len, self._waiting.values())) < most:
            return
        longest = max(self._waiting, key=lambda one: len(self._waiting[one]))
        if len(self._waiting[longest]) <= len(self._waiting.get(whose, ())) + 1:
            raise PlacesFull
        self._waiting[longest].pop()[1].set_exception(PlacesFull())

    def _leave_line(self, whose: Whose, entry: tuple[Asker, "asyncio.Future[Place]"]) -> None:
        line = self._waiting[whose]
        line.remove(entry)
        if not line:
            del self._waiting[whose]

"""Engines of ours that run one model, from the moment their load began, and when one that fails is
tried again."""

import asyncio
from dataclasses import dataclass, field

from bastide.inference.places import Places
from bastide.inference.process import EngineProcess
from bastide.kernel.clock import Clock
from bastide.models.model import ModelCard

BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
HEALTHY_AFTER_S = 10.0  # an engine that lives shorter counts as one that failed to load


@dataclass(slots=True, kw_only=True, eq=False)
class Replica:
    """One engine. `users` are at work in it; `reserved`: its memory is counted; `draining`: it is
    given no more work and ends when it has none."""

    key: str
    users: int = 0
    used_at: float = 0.0
    ready_at: float = 0.0
    process: EngineProcess | None = None
    loading: "asyncio.Task[None] | None" = None
    reserved: bool = False
    draining: bool = False
    ended: bool = False

    @property
    def ready(self) -> bool:
        return self.process is not None and not self.draining


@dataclass(slots=True, kw_only=True, eq=False)
class Group:
    """The replicas of one model, or of one reservation of it (`held`), which have their memory for
    as long as it lasts. `users` have asked for one of them and not yet left."""

    card: ModelCard
    cost_mib: int
    most: int
    held: str = ""
    users: int = 0
    places: Places = field(default_factory=Places)
    replicas: list[Replica] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)  # or else it yields its room

    @property
    def ready(self) -> list[Replica]:
        return [one for one in self.replicas if one.ready]

    @property
    def waiting(self) -> int:
        """Those who have no place yet."""
        return self.users - sum(one.users for one in self.replicas)

    def of(self, key: str) -> Replica | None:
        return next((one for one in self.replicas if one.key == key), None)

    def is_idle(self, replica: Replica) -> bool:
        """Nobody uses it, and those who wait for a place have another to wait for."""
        if replica.process is None or replica.users or self.places.busy(replica.key):
            return False
        return self.users == 0 or any(one is not replica for one in self.ready)

    def give_way(self, replica: Replica) -> None:
        """It ends as soon as nobody uses it. The last one takes no new callers until then."""
        if any(one is not replica for one in self.ready):
            replica.draining = True
            self.places.leave(replica.key)
        else:
            self.open.clear()


@dataclass(slots=True)
class BackOff:
    """What keeps failing is left alone for a while, longer each time; after the first failure it is
    tried again at once."""

    clock: Clock
    _failures: dict[str, tuple[int, float]] = field(default_factory=dict)  # how many, until when

    def holds(self, name: str) -> bool:
        return self.clock.monotonic_s() < self._failures.get(name, (0, 0.0))[1]

    def failed(self, name: str) -> None:
        count, _ = self._failures.get(name, (0, 0.0))
        wait_s = BACK_OFF_S[min(count, len(BACK_OFF_S) - 1)] if count else 0.0
        self._failures[name] = count + 1, self.clock.monotonic_s() + wait_s

    def worked(self, name: str) -> None:
        self._failures.pop(name, None)

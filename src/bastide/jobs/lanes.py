"""Which effects may be carried out now. Within a lane of a job: one at a time, in order.

Notices have a lane of their own, so that a long download does not delay them; each replica's
start has one, so that a back-off delays nothing else; a sweep waits for all of them.
"""

import heapq
import threading
from collections import deque
from dataclasses import dataclass, field

from bastide.jobs.machine import Admit, Notify, Start, Sweep
from bastide.jobs.records import Pending

Lane = tuple[str, str]


@dataclass(slots=True)
class Lanes:
    """Not durable: the outbox is. Times are epoch milliseconds."""

    _lanes: dict[Lane, deque[Pending]] = field(default_factory=dict)
    _busy: set[Lane] = field(default_factory=set)
    _known: set[int] = field(default_factory=set)
    _late: list[tuple[int, int, Pending]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, pending: list[Pending]) -> None:
        with self._lock:
            for each in pending:
                if each.id not in self._known:
                    self._known.add(each.id)
                    self._lanes.setdefault(_lane(each), deque()).append(each)

    def take(self, now_ms: int) -> list[Pending]:
        """What is due and not blocked; each must be given back with `done` or `again`."""
        with self._lock:
            self._wake_late(now_ms)
            ready = []
            for lane, waiting in list(self._lanes.items()):
                if waiting and lane not in self._busy and self._may_go(lane, waiting[0], now_ms):
                    self._busy.add(lane)
                    ready.append(waiting[0])
            return ready

    def done(self, pending: Pending) -> None:
        lane = _lane(pending)
        with self._lock:
            self._busy.discard(lane)
            self._known.discard(pending.id)
            waiting = self._lanes.get(lane)
            if waiting and waiting[0].id == pending.id:
                waiting.popleft()
            if waiting is not None and not waiting:
                del self._lanes[lane]

    def again(self, pending: Pending, due_ms: int) -> None:
        """It did not work: the lane waits and tries once more."""
        with self._lock:
            lane = _lane(pending)
            heapq.heappush(self._late, (due_ms, pending.id, pending))
            self._lanes[lane][0] = pending

    def drop(self, job_id: str) -> None:
        """Forget what an ended job still had to do (its sweep, which is at work, stays)."""
        with self._lock:
            for lane in [lane for lane in self._lanes if lane[0] == job_id]:
                if lane not in self._busy:
                    self._known -= {each.id for each in self._lanes.pop(lane)}

    def next_due_ms(self) -> int | None:
        with self._lock:
            starts = [
                waiting[0].due_ms
                for lane, waiting in self._lanes.items()
                if waiting and lane not in self._busy and isinstance(waiting[0].effect, Start)
            ]
            late = [self._late[0][0]] if self._late else []
            return min(starts + late, default=None)

    def _wake_late(self, now_ms: int) -> None:
        while self._late and self._late[0][0] <= now_ms:
            self._busy.discard(_lane(heapq.heappop(self._late)[2]))

    def _may_go(self, lane: Lane, head: Pending, now_ms: int) -> bool:
        if head.due_ms > now_ms:
            return False
        if not isinstance(head.effect, Sweep):
            return True
        return not any(other[0] == lane[0] and other != lane for other in self._busy)


def _lane(pending: Pending) -> Lane:
    match pending.effect:
        case Admit():
            return (pending.job_id, "admit")
        case Notify() | Sweep():
            return (pending.job_id, "notify")
        case Start(replica=replica):
            return (pending.job_id, f"start-{replica}")
    return (pending.job_id, "work")

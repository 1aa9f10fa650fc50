"""The processes that functions run in: warm for a while, each for one function as it is and for one
label, and together no more than the machine has left for them.

Between its questions a process is frozen, as at AWS: what a function leaves running takes no time
of others. A process that heard something at one label is never asked at another, and ends after an
error that it did not answer, when it is idle, or when its room is needed.
"""

import json
import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bastide.functions.caged import Caged, Cell, Died, TimedOut
from bastide.jobs.cage import Walls
from bastide.jobs.cgroups import Hierarchies
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import ALNUM, Ids
from bastide.kernel.shares import Sharer, Shares, view_of
from bastide.kernel.strangers import mended_in

logger = logging.getLogger(__name__)
MIB = 1024 * 1024
IDLE_S = 60.0
VIEW_MAX = 16  # processes of one agency at one label
START_S = 30.0  # for the machine to start Python: not the function's time
CPU_MIB = 1_769  # of memory that go with one processor, as at AWS
PREFIX = "function-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to run, at the session's `label`. `key`: what a process must be of to be asked again;
    None: it is asked once. `unpack` fills the folder that it runs."""

    account: str
    label: str
    key: Hashable | None
    unpack: Callable[[Path], None]
    handler: str
    env: Mapping[str, str]
    memory_mib: int
    timeout_s: float

    @property
    def whose(self) -> Sharer:
        return view_of(self.account, self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`failure` is AWS's error object, {} if there is none. `ended`: why there is no answer."""

    payload: bytes = b""
    failure: Mapping[str, Any] = field(default_factory=dict)
    ended: Died | TimedOut | None = None
    logged: str = ""
    took_s: float = 0.0
    process: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Warm:
    caged: Caged
    order: Order
    name: str
    folder: Path
    since_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class Fleet:
    """`room_mib` is shared as `kernel/shares.py` has it. Thread-safe."""

    folder: Path
    walls_of: Callable[[str], Walls]
    cgroups: Hierarchies
    room_mib: int
    ids: Ids
    idle_s: float = IDLE_S
    _idle: list[_Warm] = field(default_factory=list)
    _busy: dict[str, _Warm] = field(default_factory=dict)
    _count: Counter[str] = field(default_factory=Counter)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False
    _shares: Shares = field(init=False)
    _keeper: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._shares = Shares(self.room_mib)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True)
        _sweep(self.cgroups)
        self._keeper = threading.Thread(target=self._keep, name="functions", daemon=True)
        self._keeper.start()

    @property
    def memory_max_mib(self) -> int:
        """Of one process: what one who is alone may have."""
        return self.room_mib // 2

    def ask(self, order: Order, told: Callable[[str], Mapping[str, Any]], payload: bytes) -> Answer:
        """`told`: what the process hears of this question, by its own name. Raises
        TooManyRequestsException, Unavailable."""
        warm = self._taken(order)
        reusable = False
        try:
            warm.caged.thaw()
            said, began = json.dumps(told(warm.name)).encode(), time.monotonic()
            answer = self._asked(warm, said, payload)
            reusable = order.key is not None and answer.ended is None
            took_s = time.monotonic() - began
            return replace(answer, logged=warm.caged.logged(), took_s=took_s, process=warm.name)
        finally:
            self._give_back(warm, reusable=reusable)

    def forget(self, mine: Callable[[Order], bool]) -> None:
        """What idles of these is ended now; what works, when it has answered."""
        with self._news:
            gone = [each for each in self._idle if mine(each.order)]
            self._idle = [each for each in self._idle if each not in gone]
        for each in gone:
            self._end(each)

    def close(self) -> None:
        with self._news:
            self._closed = True
            self._news.notify_all()
            gone, self._idle = self._idle, []
            busy = list(self._busy.values())
        for each in busy:
            each.caged.kill()  # who waits for it hears that it died
        for each in gone:
            self._end(each)
        self._keeper.join()

    def _asked(self, warm: _Warm, said: bytes, payload: bytes) -> Answer:
        try:
            text, body = warm.caged.ask(said, payload, time.monotonic() + warm.order.timeout_s)
            failure = mended_in(json.loads(text))
        except (Died, TimedOut) as ended:
            return Answer(ended=ended)
        except (ValueError, RecursionError):
            return Answer(ended=Died("it says what is none of ours"))
        if not _is_failure(failure):
            return Answer(ended=Died("it says what is none of ours"))
        return Answer(payload=body, failure=failure)

    def _taken(self, order: Order) -> _Warm:
        """One that idles, or a new one where there is room, if need be that of one that idles."""
        while True:
            with self._news:
                if self._closed:
                    raise Unavailable("the region ends")
                if (found := self._match(order)) is not None:
                    self._busy[found.name] = found
                    return found
                if self._reserved(order):
                    break
                victim = self._victim(order)
                if victim is None:
                    raise ServiceError("TooManyRequestsException", "Rate Exceeded.", status=429)
                self._idle.remove(victim)
            self._end(victim)
        return self._started(order)

    def _match(self, order: Order) -> _Warm | None:
        for each in self._idle:
            if order.key is not None and each.order.key == order.key and each.caged.alive:
                self._idle.remove(each)
                return each
        return None

    def _reserved(self, order: Order) -> bool:
        whose = order.whose
        if self._count.get(whose, 0) >= VIEW_MAX or not self._shares.take(whose, order.memory_mib):
            return False
        self._count[whose] += 1
        return True

    def _victim(self, order: Order) -> _Warm | None:
        """Of others only where their room is what is missing: who has its own most ends nothing."""
        whose = order.whose
        own = [each for each in self._idle if each.order.whose == whose]
        others = [] if self._count.get(whose, 0) >= VIEW_MAX else self._idle
        freed = sum(each.order.memory_mib for each in others)
        if not self._shares.could(whose, order.memory_mib, freed):
            others = []
        return min(own or others, key=lambda each: each.since_s, default=None)

    def _started(self, order: Order) -> _Warm:
        name = self.ids.word(32, ALNUM)
        folder = self.folder / name
        with ExitStack() as undo:
            undo.callback(self._release, order)
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.mkdir()
            folder.chmod(0o755)  # whatever the umask: it is read as the agency's uid
            order.unpack(folder)
            cell = Cell(
                walls=self.walls_of(order.account),
                cgroups=self.cgroups,
                name=PREFIX + name,
                task=folder,
                memory_bytes=order.memory_mib * MIB,
                cpus=max(1.0, order.memory_mib / CPU_MIB),
            )
            caged = Caged(cell)
            undo.callback(caged.end)
            settings = json.dumps({"handler": order.handler, "env": dict(order.env)}).encode()
            try:
                caged.ask(settings, b"", time.monotonic() + START_S)
            except (Died, TimedOut) as error:
                logger.error("a function's process did not begin: %s", caged.logged()[-1000:])
                raise Unavailable("a function's process did not begin") from error
            caged.logged()
            warm = _Warm(caged=caged, order=order, name=name, folder=folder)
            with self._news:
                self._busy[name] = warm
            undo.pop_all()
        return warm

    def _give_back(self, warm: _Warm, *, reusable: bool) -> None:
        try:
            reusable = reusable and warm.caged.freeze()
        except OSError:  # it could not be looked at: kept as busy, its room would be gone for ever
            reusable = False
        with self._news:
            del self._busy[warm.name]
            if reusable and not self._closed and warm.caged.alive:
                self._idle.append(replace(warm, since_s=time.monotonic()))
                self._news.notify_all()
                return
        self._end(warm)

    def _end(self, warm: _Warm) -> None:
        warm.caged.end()
        shutil.rmtree(warm.folder, ignore_errors=True)
        self._release(warm.order)

    def _release(self, order: Order) -> None:
        with self._news:
            self._count[order.whose] -= 1
            if not self._count[order.whose]:
                del self._count[order.whose]
            self._shares.give_back(order.whose, order.memory_mib)

    def _keep(self) -> None:
        """End what has idled for long."""
        while True:
            with self._news:
                if self._closed:
                    return
                oldest = min((each.since_s for each in self._idle), default=None)
                wait_s = None if oldest is None else oldest + self.idle_s - time.monotonic()
                if wait_s is None or wait_s > 0:
                    self._news.wait(wait_s)
                    continue
                before = time.monotonic() - self.idle_s
                gone = [each for each in self._idle if each.since_s <= before]
                self._idle = [each for each in self._idle if each not in gone]
            for each in gone:
                self._end(each)


def _is_failure(said: Any) -> bool:
    """An error object, or none. It is a stranger's word."""
    if not isinstance(said, dict):
        return False
    return not said or all(
        isinstance(said.get(name), str) for name in ("errorType", "errorMessage")
    )


def _sweep(where: Hierarchies) -> None:
    """Groups that a region left which was killed: its processes ended with it."""
    for folder in set(where.folders.values()):
        for path in Path(folder).glob(f"{PREFIX}*"):
            with suppress(OSError):  # another's, and in use
                path.rmdir()

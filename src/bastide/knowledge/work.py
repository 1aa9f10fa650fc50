"""The thread that does what knowledge bases promised: jobs, documents handed in, and what is to go.

It takes its work from the database, so that a killed region goes on with it. Every agency that has
work takes its turn, a document at a time. Poked by handlers; at its start it looks at everything.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field

from bastide.kernel.errors import Unavailable
from bastide.knowledge.reading import NotYet

logger = logging.getLogger(__name__)
RETRY_S = 2.0
WAIT_MAX_S = 60.0
TRIES_MAX = 30
IN_HAND_MAX = 4  # documents of an agency, of up to 200 MB each
Key = tuple[str, ...]  # account first


@dataclass(frozen=True, slots=True)
class Task:
    """`begin` may be called again after a failure of the world; `give_up` after too many, or after
    one of ours. A step answers whether a document is in hand. `reads`: whether one ever is."""

    key: Key
    begin: Callable[[], Generator[bool, None, None]]
    give_up: Callable[[], None]
    reads: bool = True


@dataclass(slots=True)
class _Going:
    task: Task
    steps: Generator[bool, None, None]
    has_document: bool = False


@dataclass(slots=True, kw_only=True)
class Work:
    """`wanted` is set before `start`: what there is to do, from the database."""

    wanted: Callable[[], Iterable[Task]] = tuple
    _line: "OrderedDict[str, deque[_Going]]" = field(default_factory=OrderedDict)
    _known: set[Key] = field(default_factory=set)
    _resting: set[Key] = field(default_factory=set)
    _failures: dict[Key, int] = field(default_factory=dict)
    _poked: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._poked.set()
        self._thread = threading.Thread(target=self._run, name="knowledge", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping = True
        self._poked.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def poke(self) -> None:
        self._poked.set()

    def settle(self) -> None:
        """Do all that there is, here and now: for tests."""
        self._resting.clear()
        self._look()
        while self._line:
            self._turn()
            if not self._line:
                self._look()

    def _run(self) -> None:
        while not self._stopping:
            if not self._line:
                self._poked.wait()
            if self._poked.is_set():
                self._poked.clear()
                self._guarded(self._look)
            if self._line:
                self._guarded(self._turn)

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Unavailable as error:
            logger.info("knowledge bases wait: %s", error)
            self._later()
        except Exception:  # the edge: the region has one thread for it, which must not end
            logger.exception("knowledge bases: a round failed")
            self._later()

    def _later(self) -> None:
        _after(RETRY_S, self.poke)

    def _rest(self, key: Key, wait_s: float) -> None:
        """It is not begun again before its time, however often others are poked."""

        def wake() -> None:
            self._resting.discard(key)
            self.poke()

        self._resting.add(key)
        _after(min(max(wait_s, RETRY_S), WAIT_MAX_S), wake)

    def _look(self) -> None:
        for task in self.wanted():
            if task.key not in self._known and task.key not in self._resting:
                self._known.add(task.key)
                going = _Going(task, task.begin())
                self._line.setdefault(task.key[0], deque()).append(going)

    def _turn(self) -> None:
        """One step of one task, of the agency that waited longest."""
        account, tasks = self._line.popitem(last=False)
        going, goes_on = _next(tasks), False
        try:
            goes_on = self._step(going)
        finally:  # whatever became of one, the others of its agency keep their turns
            if goes_on:
                tasks.append(going)
            else:
                self._known.discard(going.task.key)
            if tasks:
                self._line[account] = tasks

    def _step(self, going: _Going) -> bool:
        """Whether it goes on. What ended well may have more of its kind behind it."""
        key = going.task.key
        try:
            going.has_document = next(going.steps)
            return True
        except StopIteration:
            self._failures.pop(key, None)
            self._poked.set()
        except NotYet as error:
            self._rest(key, error.retry_after_s)
        except Unavailable as error:
            logger.info("%s of a knowledge base waits: %s", key[1], error)
            self._try_again(going.task)
        except Exception:  # the edge: one task's trouble must not stop the others
            logger.exception("%s of a knowledge base failed", key[1])
            going.task.give_up()
        return False

    def _try_again(self, task: Task) -> None:
        """From its beginning, which is where it was."""
        failures = self._failures[task.key] = self._failures.get(task.key, 0) + 1
        if failures >= TRIES_MAX:
            del self._failures[task.key]
            task.give_up()
        else:
            self._later()


def _after(wait_s: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(wait_s, act)
    timer.daemon = True
    timer.start()


def _next(tasks: deque[_Going]) -> _Going:
    """That which waited longest, of those that take up no further document while enough are in
    hand: each fills memory."""
    full = sum(going.has_document for going in tasks) >= IN_HAND_MAX
    while full and tasks[0].task.reads and not tasks[0].has_document:
        tasks.rotate(-1)
    return tasks.popleft()

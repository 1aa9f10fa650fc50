"""An executor in memory: replicas are scripts of what they print and how they end."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bastide.jobs.executor import Attempt, Report
from bastide.jobs.model import Exit, Launch, Limits

TERMINATED = 143


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a program does here. One that `lasts` runs until it is terminated or `finish`ed."""

    prints: tuple[str, ...] = ()
    code: int = 0
    cause: str = ""
    stderr_tail: str = ""
    lasts: bool = False


@dataclass(slots=True)
class FakeExecutor:
    """`acts` says what each program (`argv[0]`) does; one that it does not name ends with 0."""

    acts: Mapping[str, Act] = field(default_factory=dict)
    launched: list[str] = field(default_factory=list)
    terminated: int = TERMINATED  # how a lasting one takes it
    _reports: dict[str, Report] = field(default_factory=dict)
    _pokes: list[Callable[[str], None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def launch(self, attempt: Attempt, launch: Launch, limits: Limits) -> None:
        act = self.acts.get(launch.argv[0], Act())
        with self._lock:
            if attempt.key in self._reports:
                return
            self.launched.append(attempt.key)
            self._reports[attempt.key] = Report(begun=True)
            attempt.folder.mkdir(parents=True, exist_ok=True)
            text = "".join(f"{number}\t{line}\n" for number, line in enumerate(act.prints))
            (attempt.folder / "log.0").write_text(text)
        if act.lasts:
            self._poke(attempt.key)
        else:
            self.finish(attempt, act)

    def finish(self, attempt: Attempt, act: Act) -> None:
        """Have a lasting attempt end, as `act` says."""
        ended = Exit(
            replica=attempt.replica, code=act.code, cause=act.cause, stderr_tail=act.stderr_tail
        )
        with self._lock:
            known = self._reports.get(attempt.key)
            if known is None or known.exit is None:
                self._reports[attempt.key] = Report(begun=known is not None, exit=ended)
        self._poke(attempt.key)

    def terminate(self, attempt: Attempt) -> None:
        attempt.folder.mkdir(parents=True, exist_ok=True)  # of one that never began, too
        self.finish(attempt, Act(code=self.terminated))

    def report(self, attempt: Attempt) -> Report:
        with self._lock:
            return self._reports.get(attempt.key, Report(begun=False))

    def on_news(self, poke: Callable[[str], None]) -> None:
        self._pokes.append(poke)

    def close(self) -> None:
        self._pokes.clear()

    def _poke(self, key: str) -> None:
        for poke in list(self._pokes):
            poke(key)

"""What the runner asks of a place where replicas run, and the words for it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bastide.jobs.model import Exit, Launch, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One start of one replica. `key` is unique in the region and safe as a file's name; `folder`
    is the attempt's own; `sockets` is where a service's http.sock appears."""

    key: str
    replica: int
    folder: Path
    account: str
    sockets: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How an attempt stands. `begun`: a shim took it; `exit` is there once it has ended, or will
    not begin any more."""

    begun: bool
    exit: Exit | None = None


class Executor(Protocol):
    """`launch` and `terminate` may be called again with the same attempt and then do nothing."""

    def launch(self, attempt: Attempt, launch: Launch, limits: Limits) -> None:
        """Start it, unless it was started before."""
        ...

    def terminate(self, attempt: Attempt) -> None:
        """SIGTERM, the grace, SIGKILL. One that never began will not begin any more."""
        ...

    def report(self, attempt: Attempt) -> Report:
        """How it stands; one whose shim vanished has ended with the cause `lost`."""
        ...

    def on_news(self, poke: Callable[[str], None]) -> None:
        """Call `poke(key)` soon after an attempt printed or changed its state (best effort)."""
        ...

    def close(self) -> None:
        """Stop listening; what runs goes on."""
        ...

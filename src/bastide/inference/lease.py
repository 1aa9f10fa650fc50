"""The right to send one request to an engine."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from bastide.inference.model import Endpoint


@dataclass(slots=True, eq=False)
class Lease:
    """Give it back with `release()`, or use `async with`."""

    endpoint: Endpoint
    _back: Callable[[], None]
    _remember: Callable[[], None] = lambda: None
    _held: bool = True

    def confirm(self) -> None:
        """The request was answered to its end: its place now remembers this prompt alone."""
        self._remember()

    def release(self) -> None:
        if self._held:
            self._held = False
            self._back()

    async def __aenter__(self) -> "Lease":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

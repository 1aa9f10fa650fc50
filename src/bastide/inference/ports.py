"""What inference needs of its siblings and of what lies above it; joined in `app/`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

from bastide.kernel.call import Call
from bastide.kernel.shares import Sharer
from bastide.models.invocation_records import Invocation

P = ParamSpec("P")
T = TypeVar("T")


class Threads(Protocol):
    """Where work is done that would hold the loop: each agency at each of its labels has its
    share of it."""

    async def run(
        self, whose: Sharer, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Raises Unavailable where its turn does not come."""
        ...


class DocumentReader(Protocol):
    """Reads documents in formats that may attack their reader, behind walls."""

    async def text(self, call: Call, kind: str, data: bytes) -> str:
        """What a document says; `kind` as in DocumentFormat. Raises ServiceError."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """What goes into a model, as a guardrail is asked about it. `texts` are judged; `sources` and
    `queries` are what the answer is held against."""

    texts: Sequence[str]
    sources: Sequence[str] = ()
    queries: Sequence[str] = ()


class Judge(Protocol):
    """One text of an answer, as it arrives. Both raise what stops the call where the guardrail
    cannot judge."""

    def add(self, part: str) -> str:
        """What may be shown with this part, with what is to be hidden hidden."""
        ...

    def end(self) -> str:
        """The rest."""
        ...

    @property
    def is_blocked(self) -> bool: ...


class Guard(Protocol):
    """One guardrail, for one call."""

    @property
    def message_in(self) -> str: ...

    @property
    def message_out(self) -> str: ...

    @property
    def settles_late(self) -> bool:
        """Whether an answer is only judged when it is whole."""
        ...

    @property
    def hides(self) -> bool:
        """Whether it hides something of an answer, rather than to stop it."""
        ...

    def judge_input(self, said: Said) -> Sequence[str] | None:
        """The texts with what is to be hidden hidden; None if they are blocked."""
        ...

    def judge(self) -> Judge:
        """For the next text of the answer."""
        ...

    def intervened(self) -> bool:
        """In what was judged of the answer."""
        ...

    def close(self) -> None:
        """All is judged: the call's record says what came of it."""
        ...

    def trace(self, *, full: bool) -> dict[str, Any]:
        """As `trace.guardrail` has it."""
        ...


class Guards(Protocol):
    def guard(self, call: Call, config: Mapping[str, Any]) -> Guard:
        """Raises ServiceError for a guardrail that the caller does not find."""
        ...


class InvocationLog(Protocol):
    """Where an agency has the invocations of its models logged, if it has."""

    def record(self, account: str, made: Callable[[], Invocation]) -> None:
        """Returns at once, and never fails. `made` is asked where there is such a place."""
        ...


class NoLog:
    def record(self, account: str, made: Callable[[], Invocation]) -> None:
        return

"""What guardrails need from their siblings; joined in `app/guardrails.py`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bastide.guardrails.model import Topic
from bastide.kernel.approvals import Kind
from bastide.kernel.call import Principal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

T = TypeVar("T")


class Finding(Protocol):
    """Something personal in a text."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def kind(self) -> str: ...


class About(Protocol):
    """A topic that is denied."""

    @property
    def name(self) -> str: ...

    @property
    def definition(self) -> str: ...

    @property
    def examples(self) -> Sequence[str]: ...


class Embeds(Protocol):
    """What gives texts their vectors."""

    def vectors(self, who: Principal, texts: Sequence[str]) -> "Vectors | None":
        """A row of length 1 for each text; None where the region has no model for it. Raises
        Unavailable."""
        ...


class Arbiter(Protocol):
    """A model that is asked where a score is none."""

    def says_yes(self, who: Principal, system: str, question: str, timeout_s: float) -> bool:
        """At the session's label. Raises Unavailable or ServiceError."""
        ...


class Detectors(Protocol):
    """What finds things that no list can name. Pure: the same text, the same answer. One that
    cannot answer raises Unavailable, and nothing passes. Scores are from 0 to 1."""

    def of(self, who: Principal) -> "Detectors":
        """The same, in the agency's own turn."""
        ...

    def find_pii(self, text: str, kinds: Collection[str]) -> Sequence[Finding]: ...

    def content_scores(self, text: str) -> Mapping[str, float]: ...

    def prompt_attack_score(self, text: str) -> float: ...

    def settled(self, kind: str, score: float, line: float, text: str) -> float:
        """The score of a filter that begins at `line`. One that is near it may be moved to either
        side by whom the region asks then; it never raises."""
        ...

    def is_about(self, topic: Topic, text: str) -> float: ...

    def grounding(self, source: str, query: str, answer: str) -> tuple[float, float]:
        """How far the source says it, and how far it answers the query."""
        ...


class Approvals(Protocol):
    """As `kernel.approvals.Approvals`."""

    def carry_out(
        self,
        kind: Kind,
        action: Mapping[str, Any],
        requester: str,
        effect: Callable[[Any], T],
    ) -> T: ...

"""What asks the detectors in their caged process. Without an answer nothing passes: it raises
Unavailable.

One process works for all agencies, a window of a text at a time, and between them each agency at
each of its labels has its turn; nobody may wait with more questions than a share.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import msgspec

from bastide.guardrails.detect.finding import Finding
from bastide.guardrails.grey_zone import GreyZone
from bastide.guardrails.meaning import Meaning
from bastide.guardrails.ports import About
from bastide.jobs.worker import WorkerFailed
from bastide.kernel.call import Principal
from bastide.kernel.errors import Unavailable
from bastide.kernel.shares import Line
from bastide.kernel.turns import Turns

logger = logging.getLogger(__name__)
TIMEOUT_S = 20.0
RETRY_AFTER_S = 1
WAITING_MAX = 64  # of all agencies together


class Asks(Protocol):
    def ask(self, question: bytes, timeout_s: float) -> bytes: ...


class Queue:
    """Who waits for the process. Safe to use from many threads."""

    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self._turns, self._line = Turns(), Line(waiting_max)

    @contextmanager
    def turn(self, who: str, timeout_s: float) -> Iterator[None]:
        """TimeoutError where none came, or `who` has its share of those who wait."""
        with self._line.place(who), self._turns.turn(who, timeout_s):
            yield


@dataclass(frozen=True, slots=True)
class Detectors:
    """The process is started at the first question (`Worker`). `who`: whose texts are asked
    about. `meaning`: where topics are known by more than words. `grey_zone`: where
    a score near a filter's line is not the last word."""

    worker: Asks
    who: Principal | None = None
    queue: Queue = field(default_factory=Queue)
    meaning: Meaning | None = None
    grey_zone: GreyZone | None = None

    def of(self, who: Principal) -> "Detectors":
        """For one call of theirs."""
        return replace(self, who=who, grey_zone=self.grey_zone and self.grey_zone.of(who))

    def find_pii(self, text: str, kinds: Collection[str]) -> list[Finding]:
        """What is personal in it, in the order of the text; no two overlap."""
        return msgspec.convert(self._ask("pii", text=text, kinds=sorted(kinds)), list[Finding])

    def content_scores(self, text: str) -> dict[str, float]:
        return msgspec.convert(self._ask("content", text=text), dict[str, float])

    def prompt_attack_score(self, text: str) -> float:
        return msgspec.convert(self._ask("prompt_attack", text=text), float)

    def settled(self, kind: str, score: float, line: float, text: str) -> float:
        if self.grey_zone is None:
            return score
        return self.grey_zone.settled(kind, score, line, text)

    def is_about(self, topic: About, text: str) -> float:
        told = {"definition": topic.definition, "examples": list(topic.examples)}
        said = msgspec.convert(self._ask("topic", name=topic.name, text=text, **told), float)
        if self.meaning is None or self.who is None:
            return said
        return max(said, self.meaning.score(self.who, topic, text) or 0.0)

    def grounding(self, source: str, query: str, answer: str) -> tuple[float, float]:
        """How far the source says it, and how far it answers the query."""
        scores = self._ask("grounding", source=source, query=query, answer=answer)
        return msgspec.convert(scores, tuple[float, float])

    def _ask(self, what: str, **given: Any) -> Any:
        question = msgspec.json.encode({"ask": what, "given": given})
        try:
            with self.queue.turn(self.who.whose if self.who else "", TIMEOUT_S):
                return msgspec.json.decode(self.worker.ask(question, TIMEOUT_S))
        except TimeoutError as error:
            raise Unavailable("This agency's share of what finds things", RETRY_AFTER_S) from error
        except WorkerFailed as error:
            logger.warning("The detectors did not answer: %s", error)
            raise Unavailable("What finds things in texts", RETRY_AFTER_S) from error

"""What asks the detectors in their caged process. Without an answer nothing passes: it raises
Unavailable."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from bastide.guardrails.detect.finding import Finding
from bastide.jobs.worker import WorkerFailed
from bastide.kernel.errors import Unavailable

logger = logging.getLogger(__name__)
TIMEOUT_S = 20.0
RETRY_AFTER_S = 1


class Asks(Protocol):
    def ask(self, question: bytes, timeout_s: float) -> bytes: ...


class About(Protocol):
    """A topic that is denied."""

    @property
    def name(self) -> str: ...

    @property
    def definition(self) -> str: ...

    @property
    def examples(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Detectors:
    """The process is started at the first question (`Worker`)."""

    worker: Asks

    def find_pii(self, text: str, kinds: Collection[str]) -> list[Finding]:
        """What is personal in it, in the order of the text; no two overlap."""
        return msgspec.convert(self._ask("pii", text=text, kinds=sorted(kinds)), list[Finding])

    def content_scores(self, text: str) -> dict[str, float]:
        return msgspec.convert(self._ask("content", text=text), dict[str, float])

    def prompt_attack_score(self, text: str) -> float:
        return msgspec.convert(self._ask("prompt_attack", text=text), float)

    def is_about(self, topic: About, text: str) -> float:
        told = {"definition": topic.definition, "examples": list(topic.examples)}
        return msgspec.convert(self._ask("topic", name=topic.name, text=text, **told), float)

    def grounding(self, source: str, query: str, answer: str) -> tuple[float, float]:
        """How far the source says it, and how far it answers the query."""
        scores = self._ask("grounding", source=source, query=query, answer=answer)
        return msgspec.convert(scores, tuple[float, float])

    def _ask(self, what: str, **given: Any) -> Any:
        question = msgspec.json.encode({"ask": what, "given": given})
        try:
            return msgspec.json.decode(self.worker.ask(question, TIMEOUT_S))
        except WorkerFailed as error:
            logger.warning("The detectors did not answer: %s", error)
            raise Unavailable("What finds things in texts", RETRY_AFTER_S) from error

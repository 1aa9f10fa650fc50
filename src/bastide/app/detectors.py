"""What finds things in texts: one caged process of the region, started when a guardrail first
asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bastide.app.workshop import Workshop
from bastide.guardrails.detectors import RETRY_AFTER_S, Detectors
from bastide.guardrails.meaning import Meaning
from bastide.inference.embedder import Embedder
from bastide.jobs.worker import Worker
from bastide.kernel.call import Principal
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.models.catalogue import Models

if TYPE_CHECKING:
    from bastide.guardrails.ports import Vectors

MINILM = "minilm-l6-v2"  # for which the threshold of topics was chosen
PROGRAM = "bastide.guardrails.detect.program"


def worker_for(workshop: Workshop) -> Worker:
    """Whoever takes it closes it."""
    return Worker(walls=workshop.cage_for("detectors"), module=PROGRAM)


@dataclass(slots=True)
class Meanings:
    """Implements guardrails' Embeds, once models and their embedder are there."""

    models: Models | None = None
    embedder: Embedder | None = None

    def vectors(self, who: Principal, texts: Sequence[str]) -> "Vectors | None":
        cards = self.models.cards() if self.models is not None else []
        card = next((one for one in cards if one.name == MINILM and one.seen_at(who.session)), None)
        if card is None or self.embedder is None:
            return None
        try:
            return self.embedder.embed(who, card, texts)
        except ServiceError as error:
            raise Unavailable("What reads the meaning of texts", RETRY_AFTER_S) from error


def detectors_of(worker: Worker, meanings: Meanings) -> Detectors:
    return Detectors(worker, meaning=Meaning(meanings))

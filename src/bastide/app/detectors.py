"""What finds things in texts: one caged process of the region, started when a guardrail first
asks."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bastide.app.core import Core
from bastide.app.imports import on_the_loop
from bastide.app.workshop import Workshop
from bastide.guardrails.detectors import RETRY_AFTER_S, Detectors
from bastide.guardrails.grey_zone import GreyZone
from bastide.guardrails.meaning import Meaning
from bastide.inference.embedder import Embedder
from bastide.inference.one_word import OneWord
from bastide.jobs.worker import Worker
from bastide.kernel.call import Principal
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.models.catalogue import Models

if TYPE_CHECKING:
    from bastide.guardrails.ports import Vectors

MINILM = "minilm-l6-v2"  # for which the threshold of topics was chosen
JUDGE_TIMEOUT_S = 10.0  # of one question
FENCE_SECRET = 32  # bytes
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


@dataclass(slots=True)
class SiteArbiter:
    """Implements guardrails' Arbiter, once models and their engines are there: they live on the
    event loop, and guardrails judge in threads."""

    model_id: str
    loop: asyncio.AbstractEventLoop | None = None
    one_word: OneWord | None = None

    def says_yes(self, who: Principal, system: str, question: str, timeout_s: float) -> bool:
        if self.loop is None or self.one_word is None:
            raise Unavailable("the region begins")
        within_s = min(timeout_s, JUDGE_TIMEOUT_S)
        asked = self.one_word.is_yes(who, self.model_id, system, question, timeout_s=within_s)
        return on_the_loop(self.loop, asked, within_s + 1)


def arbiter_of(core: Core) -> SiteArbiter | None:
    model_id = core.settings.guardrails.judge_model
    return SiteArbiter(model_id) if model_id else None


def detectors_of(
    core: Core, worker: Worker, meanings: Meanings, arbiter: SiteArbiter | None
) -> Detectors:
    zone = None
    if arbiter is not None:
        zone = GreyZone(arbiter=arbiter, clock=core.clock, secret=core.ids.token(FENCE_SECRET))
    return Detectors(worker, meaning=Meaning(meanings), grey_zone=zone)

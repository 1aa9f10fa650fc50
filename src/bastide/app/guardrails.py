"""Guardrails, joined to the database, to policy and to the officers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.db.marks import Marks
from bastide.guardrails.applying import Applying
from bastide.guardrails.guardrails import Guardrails as GuardrailOperations
from bastide.guardrails.inline import Guards
from bastide.guardrails.loosening import Holding
from bastide.guardrails.model import Topic
from bastide.guardrails.ports import Finding
from bastide.guardrails.shelf import Shelf
from bastide.guardrails.tag_keeper import TagKeeper
from bastide.kernel.approvals import Approvals
from bastide.kernel.errors import Unavailable
from bastide.models.tags import Keeper


class NoDetectors:
    """`guardrails.ports.Detectors` of a region that has none: whoever asks is told, and nothing
    passes."""

    def find_pii(self, text: str, kinds: Collection[str]) -> Sequence[Finding]:
        raise self._down()

    def content_scores(self, text: str) -> Mapping[str, float]:
        raise self._down()

    def prompt_attack_score(self, text: str) -> float:
        raise self._down()

    def is_about(self, topic: Topic, text: str) -> bool:
        raise self._down()

    def grounding(self, source: str, query: str, answer: str) -> tuple[float, float]:
        raise self._down()

    def _down(self) -> Unavailable:
        return Unavailable("The detectors of this region's guardrails do not run.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """`tags`: the keeper of theirs."""

    guards: Guards
    tags: Keeper
    handlers: dict[str, list[object]]


def open_guardrails(core: Core, identity: Identity, approvals: Approvals) -> Guardrails:
    shelf = Shelf(
        region=core.region,
        database=core.database,
        clock=core.clock,
        ids=core.ids,
        marks=Marks(labelling=identity.labelling, in_use=core.labels),
    )
    holding = Holding(database=core.database, approvals=approvals, arn=shelf.arn)
    detectors, clock = NoDetectors(), core.clock
    applying = Applying(shelf=shelf, detectors=detectors, clock=clock)
    resources = identity.resources
    resources.tagged["bedrock:guardrail"] = lambda who, arn, _: shelf.tags(who, arn)
    resources.labelled["bedrock:guardrail"] = lambda who, arn, _: shelf.label(who, arn)
    return Guardrails(
        guards=Guards(shelf=shelf, detectors=detectors, clock=clock),
        tags=TagKeeper(shelf=shelf),
        handlers={
            "bedrock": [GuardrailOperations(shelf=shelf, holding=holding)],
            "bedrock-runtime": [applying],
        },
    )

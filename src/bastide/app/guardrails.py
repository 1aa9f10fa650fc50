"""Guardrails, joined to the database, to policy and to the officers."""

import asyncio
from dataclasses import dataclass

from bastide.app.bedrock import Bedrock
from bastide.app.core import Core
from bastide.app.detectors import Meanings, SiteArbiter, arbiter_of, detectors_of, worker_for
from bastide.app.identity import Identity
from bastide.app.workshop import Workshop
from bastide.db.marks import Marks
from bastide.guardrails.applying import Applying
from bastide.guardrails.guardrails import Guardrails as GuardrailOperations
from bastide.guardrails.inline import Guards
from bastide.guardrails.loosening import Holding
from bastide.guardrails.shelf import Shelf
from bastide.guardrails.tag_keeper import TagKeeper
from bastide.jobs.worker import Worker
from bastide.kernel.approvals import Approvals
from bastide.models.tags import Keeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """`tags`: the keeper of theirs. `worker`: of what finds things, to be closed. `meanings`: to be
    joined with what embeds texts. `arbiter`: with what runs models; None where none is asked."""

    worker: Worker
    meanings: Meanings
    arbiter: SiteArbiter | None
    guards: Guards
    applying: Applying
    tags: Keeper
    handlers: dict[str, list[object]]

    def join(self, bedrock: Bedrock) -> None:
        """On the loop that engines live on."""
        bedrock.keepers["guardrail"] = self.tags
        self.meanings.models, self.meanings.embedder = bedrock.models, bedrock.embedder
        if self.arbiter is not None:
            self.arbiter.loop = asyncio.get_running_loop()
            self.arbiter.one_word = bedrock.one_word


def open_guardrails(
    core: Core, identity: Identity, workshop: Workshop, approvals: Approvals
) -> Guardrails:
    shelf = Shelf(
        region=core.region,
        database=core.database,
        clock=core.clock,
        ids=core.ids,
        marks=Marks(labelling=identity.labelling, in_use=core.labels),
    )
    holding = Holding(database=core.database, approvals=approvals, arn=shelf.arn)
    worker, clock = worker_for(workshop), core.clock
    meanings = Meanings()
    arbiter = arbiter_of(core)
    detectors = detectors_of(core, worker, meanings, arbiter)
    applying = Applying(shelf=shelf, detectors=detectors, clock=clock)
    resources = identity.resources
    resources.tagged["bedrock:guardrail"] = lambda who, arn, _: shelf.tags(who, arn)
    resources.labelled["bedrock:guardrail"] = lambda who, arn, _: shelf.label(who, arn)
    return Guardrails(
        worker=worker,
        meanings=meanings,
        arbiter=arbiter,
        guards=Guards(shelf=shelf, detectors=detectors, clock=clock),
        applying=applying,
        tags=TagKeeper(shelf=shelf),
        handlers={
            "bedrock": [GuardrailOperations(shelf=shelf, holding=holding)],
            "bedrock-runtime": [applying],
        },
    )

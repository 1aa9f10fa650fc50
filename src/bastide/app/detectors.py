"""What finds things in texts: one caged process of the region, started when a guardrail first
asks."""

from bastide.app.workshop import Workshop
from bastide.guardrails.detectors import Detectors
from bastide.jobs.worker import Worker

PROGRAM = "bastide.guardrails.detect.program"


def worker_for(workshop: Workshop) -> Worker:
    """Whoever takes it closes it."""
    return Worker(walls=workshop.cage_for("detectors"), module=PROGRAM)


def detectors_of(worker: Worker) -> Detectors:
    return Detectors(worker)

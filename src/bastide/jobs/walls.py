"""Refuses jobs where a wall of the sandbox is missing that the site has not given up by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bastide.jobs.host import Layer
from bastide.jobs.model import Job, JobSpec, Transition
from bastide.jobs.ports import Beside, Jobs, Listener
from bastide.kernel.errors import ServiceError


def told(missing: Sequence[Layer]) -> str:
    """The missing walls, for the operator and for the one whose job is refused."""
    named = "; ".join(f"{layer.name} ({layer.why})" for layer in missing)
    return (
        f"The sandbox of this machine lacks: {named}. Jobs are refused until the site names these "
        "layers in allow_missing_layers of bastide.toml."
    )


@dataclass(frozen=True, slots=True)
class WalledJobs:
    """Implements ports.Jobs over `jobs`; only new work is refused."""

    jobs: Jobs
    missing: Sequence[Layer]

    def submit(self, spec: JobSpec, beside: Beside | None = None) -> Job:
        if self.missing:
            raise ServiceError("ValidationException", told(self.missing), status=400)
        return self.jobs.submit(spec, beside)

    def find(self, job_id: str) -> Job | None:
        return self.jobs.find(job_id)

    def history(self, job_id: str) -> Sequence[Transition]:
        return self.jobs.history(job_id)

    def stop(self, job_id: str) -> None:
        self.jobs.stop(job_id)

    def forget(self, job_id: str) -> None:
        self.jobs.forget(job_id)

    def sockets(self, job_id: str) -> Sequence[Path]:
        return self.jobs.sockets(job_id)

    def work(self, job_id: str) -> Path:
        return self.jobs.work(job_id)

    def running(self, kind: str) -> Sequence[tuple[Job, Path]]:
        return self.jobs.running(kind)

    def watch(self, kind: str, listener: Listener) -> None:
        self.jobs.watch(kind, listener)

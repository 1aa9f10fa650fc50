"""What the runner needs from others, and what it offers them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from bastide.jobs.model import INTERNAL, LOST, Exit, Job, JobSpec, Launch, Transition


class JobFailed(Exception):
    """A kind could not prepare or collect a job; the text becomes its FailureReason. What a tenant
    named need not be text: half a surrogate pair could be stored by nobody."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason.encode(errors="replace").decode())


class Kind(Protocol):
    """What makes a training job a training job. Every method may run again after a crash, so each
    is idempotent; each runs on a worker thread and may take long."""

    def prepare(self, job: Job, folder: Path) -> Sequence[Launch]:
        """Fill `folder` (one sub-folder per replica) and say how each replica starts.
        Raises JobFailed when it cannot (no such object, access denied, tar bomb)."""
        ...

    def collect(self, job: Job, folder: Path) -> None:
        """Take the outputs home, whatever the exits were. Raises JobFailed when that fails."""
        ...

    def logged(
        self, job: Job, replica: int, lines: Sequence[tuple[int, str]], beside: "Beside"
    ) -> None:
        """Lines that a replica printed: (epoch milliseconds, text without its newline). `beside`
        goes into the transaction that keeps them: with it none is told twice, without it all are
        told again after a crash."""
        ...

    def failure_reason(self, job: Job, exits: Sequence[Exit]) -> str:
        """The FailureReason of a job whose replicas ended badly, by what their programs did."""
        ...

    def probe(self, job: Job, replica: int, socket: Path) -> bool:
        """Service jobs: whether this replica answers at its unix socket."""
        ...


def reason_of(kind: Kind, job: Job, exits: Sequence[Exit]) -> str:
    """The FailureReason, in the kind's words but of what the region did."""
    if any(each.cause == LOST for each in exits):
        return INTERNAL
    return kind.failure_reason(job, exits)


Listener = Callable[[Job], None]
Beside = Callable[[Connection], None]


class Logs(Protocol):
    """Where kinds keep the lines that `Kind.logged` is told: (epoch milliseconds, text), at the
    marking of their job."""

    def put(
        self,
        account: str,
        marking: str,
        group: str,
        stream: str,
        events: Sequence[tuple[int, str]],
        beside: Beside,
    ) -> None: ...


class Jobs(Protocol):
    """What the contexts above may ask for."""

    def submit(self, spec: JobSpec, beside: Beside | None = None) -> Job:
        """Make the job durable and have it run. `beside` writes what belongs to the job in the
        same transaction: both are there, or neither (it may run twice, and refuse by raising).
        Raises ServiceError `ResourceInUse` when the id is taken."""
        ...

    def find(self, job_id: str) -> Job | None: ...

    def history(self, job_id: str) -> Sequence[Transition]: ...

    def stop(self, job_id: str) -> None:
        """SIGTERM, the grace, SIGKILL. Does nothing to a finished job."""
        ...

    def forget(self, job_id: str) -> None:
        """Stop a service, and delete the job with its folder once it has ended."""
        ...

    def sockets(self, job_id: str) -> Sequence[Path]:
        """The unix sockets of a service's replicas that are READY now."""
        ...

    def work(self, job_id: str) -> Path:
        """The folder that a job's kind filled, if it did."""
        ...

    def running(self, kind: str) -> Sequence[tuple[Job, Path]]:
        """The jobs of a kind that run now, each with the folder that its kind filled."""
        ...

    def watch(self, kind: str, listener: Listener) -> None:
        """Call `listener` after every transition of this kind of job, at least once each."""
        ...

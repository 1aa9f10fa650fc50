"""What a job is: the frozen data that the machine, the runner and the kinds share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

INTERNAL = "InternalServerError: We encountered an internal error. Please try again."
LOST = "lost"


class Status(StrEnum):
    """The life of a job. A service is READY while its health probe answers."""

    PENDING = "Pending"
    STAGING = "Staging"  # its kind prepares the job's folder
    RUNNING = "Running"  # its shims run
    READY = "Ready"  # service jobs only: every replica's probe answered
    STOPPING = "Stopping"  # SIGTERM sent, grace running
    COLLECTING = "Collecting"  # its kind takes the outputs home
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPED = "Stopped"


FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.STOPPED})


class StopCause(StrEnum):
    """Why a job was told to stop before it ended by itself."""

    USER = "User"
    MAX_RUNTIME = "MaxRuntimeExceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one replica may use. None: no limit of this kind."""

    memory_bytes: int | None = None
    cpus: float | None = None
    pids_max: int = 1024
    disk_bytes: int | None = None
    wall_s: int | None = None
    grace_s: int = 120
    open_files_max: int = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What was asked for. `id` is unique in the region: `training/123456789012/my-job`.

    `payload` is JSON that only the job's kind understands. A `service` runs until it is stopped
    and is started again, with back-off, when it dies; one that does not answer its first probe
    within `ready_timeout_s` has failed.
    """

    id: str
    kind: str
    account: str
    replicas: int = 1
    service: bool = False
    ready_timeout_s: int = 240
    limits: Limits = field(default_factory=Limits)
    payload: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a replica ended. `code` is its exit status, 128 + n for signal n; `cause` says what the
    shim itself enforced: "", "memory", "disk" or "max_runtime"; or LOST, which is the region's
    doing: its shim vanished, or its launch was given up."""

    replica: int
    code: int
    cause: str = ""
    stderr_tail: str = ""


class ReplicaStatus(StrEnum):
    """The life of one replica's current attempt."""

    WAITING = "Waiting"  # to be launched, perhaps after a back-off
    RUNNING = "Running"
    UP = "Up"  # service jobs only: its probe answered
    EXITED = "Exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One of a job's processes. `attempt` is unique in the job: every launch has its own.
    `restarts` counts the deaths since it was last up. `given_up`: its launch was, but it may have
    begun."""

    index: int
    attempt: int
    status: ReplicaStatus = ReplicaStatus.WAITING
    restarts: int = 0
    given_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands. `rev` grows by one with every transition and guards each update.

    `attempt` is the highest attempt given to a replica so far; `ever_ready` says that a service
    was READY once; `forgotten` jobs are deleted when they have ended.
    """

    spec: JobSpec
    status: Status
    rev: int = 0
    attempt: int = 0
    created: datetime
    changed: datetime
    started: datetime | None = None  # first RUNNING
    ended: datetime | None = None
    stop_cause: StopCause | None = None
    exits: tuple[Exit, ...] = ()  # the last exit of each replica that ended
    failure: str = ""
    replicas: tuple[Replica, ...] = ()
    ever_ready: bool = False
    forgotten: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One row of a job's history, written in the transaction that made it."""

    job_id: str
    rev: int
    status: Status
    at: datetime
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A host path seen inside the sandbox at `target`."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOut:
    """The one thing outside that a sandbox reaches: whoever listens at the unix socket `socket`, at
    TCP `port` of the sandbox's own loopback. The socket may be made anew meanwhile."""

    socket: Path
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How one replica starts, as its kind prepared it.

    `root` is an unpacked OCI root file system, or None for the host's /usr plus `binds` (a venv
    and its interpreter). `home` is the job's own writable folder, seen at `home_target`.
    With `serves`, a folder is bound at /run/bastide; the replica is reached at the unix socket
    `http.sock` in it when it listens there itself, else through a bridge to its TCP `port`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    home: Path
    home_target: str = "/opt/ml"
    cwd: str = "/opt/ml"
    root: Path | None = None
    binds: tuple[Bind, ...] = ()
    hostname: str = "algo-1"
    serves: bool = False
    port: int | None = None
    way_out: WayOut | None = None

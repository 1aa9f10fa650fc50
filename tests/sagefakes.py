"""Twins of what training and serving stand on: jobs that go where a test sends them, a store in
memory, roles and policies that say what a test wants."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from bastide.db.database import Database
from bastide.jobs.model import FINISHED, Job, JobSpec, Status, StopCause, Transition
from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.regions import Region
from tests.labels_kit import UNCLASSIFIED, US, at

REGION = Region("us-gov-west-1", "aws-us-gov", "amazonaws.com")
ONE, OTHER = "111122223333", "444455556666"
ROLE = f"arn:aws-us-gov:iam::{ONE}:role/R"
IMAGE = "1.dkr.ecr.us-gov-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def principal(account=ONE, **level):
    arn = f"arn:aws-us-gov:iam::{account}:role/R"
    return Principal(
        account=account, arn=arn, user_id="U", kind=PrincipalKind.SESSION, issuer_arn=arn,
        name="R", access_key_id="A", **(level or UNCLASSIFIED),
    )  # fmt: skip


def call(operation="sagemaker.X", account=ONE, marking="U"):
    return Call(
        operation=operation, region=REGION, request_id="r",
        principal=principal(account, **at(marking)),
        time=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@dataclass
class FakeJobs:
    """jobs.ports.Jobs; `go` moves a job on."""

    clock: ManualClock = field(default_factory=ManualClock)
    jobs: dict = field(default_factory=dict)
    past: dict = field(default_factory=dict)
    listeners: dict = field(default_factory=dict)
    where: dict = field(default_factory=dict)  # job id → sockets
    database: Database | None = None  # for what is written beside a job
    folder: Path | None = None  # of every job

    def submit(self, spec: JobSpec, beside=None):
        if beside is not None:
            self.database.write(beside)
        if spec.id in self.jobs:
            raise ServiceError("ResourceInUse", spec.id)
        now = self.clock.now()
        self.jobs[spec.id] = Job(spec=spec, status=Status.PENDING, created=now, changed=now)
        self.past[spec.id] = []
        return self.go(spec.id, Status.PENDING)

    def go(self, job_id, status, **more):
        now = self.clock.now()
        job = self.jobs[job_id]
        if status is Status.RUNNING and job.started is None:
            more.setdefault("started", now)
        if status in FINISHED:
            more.setdefault("ended", now)
        job = replace(job, status=status, changed=now, rev=job.rev + 1, **more)
        self.jobs[job_id] = job
        self.past[job_id].append(Transition(job_id=job_id, rev=job.rev, status=status, at=now))
        for listener in self.listeners.get(job.spec.kind, []):
            listener(job)
        return job

    def find(self, job_id):
        return self.jobs.get(job_id)

    def history(self, job_id):
        return self.past.get(job_id, [])

    def stop(self, job_id):
        self.go(job_id, Status.STOPPING, stop_cause=StopCause.USER)

    def forget(self, job_id):
        if job_id in self.jobs:
            self.go(job_id, Status.STOPPED, forgotten=True)
            del self.jobs[job_id]

    def sockets(self, job_id):
        return self.where.get(job_id, [])

    def work(self, job_id):
        return self.folder or Path("/nonexistent")

    def running(self, kind):
        return [
            (job, self.folder)
            for job in self.jobs.values()
            if job.spec.kind == kind and job.status is Status.RUNNING
        ]

    def watch(self, kind, listener):
        self.listeners.setdefault(kind, []).append(listener)


@dataclass(frozen=True)
class Stored:
    key: str
    size: int
    label: Label = US.lowest


@dataclass
class FakeObjects:
    """(account, bucket, key) → bytes."""

    held: dict = field(default_factory=dict)

    def open(self, who, bucket, key):
        account = who.account
        if (account, bucket, key) not in self.held:
            raise ServiceError("NoSuchKey", "The specified key does not exist.")
        data = self.held[account, bucket, key]
        return Stored(key, len(data)), iter([data[:3], data[3:]])

    def label(self, who, arn, version):
        bucket, _, key = arn.rpartition(":")[2].partition("/")
        return US.lowest if (who.account, bucket, key) in self.held else None

    def put(self, who, bucket, key, chunks, content_type="binary/octet-stream"):
        account = who.account
        self.held[account, bucket, key] = b"".join(chunks)
        return Stored(key, len(self.held[account, bucket, key]))

    def listing(self, who, bucket, prefix):
        account = who.account
        for where in sorted(self.held):
            if where[:2] == (account, bucket) and where[2].startswith(prefix):
                yield Stored(where[2], len(self.held[where]))


@dataclass
class FakeRoles:
    clearance: str = ""  # of every role, if there is a limit

    def check_pass(self, call, role_arn, service, associated_arn):
        if role_arn.split(":")[4] != call.account:
            raise ServiceError("AccessDeniedException", "iam:PassRole")

    def assume_for_service(self, account, role_arn, service, marking):
        if self.clearance and not US.clearance(self.clearance).dominates(US.parse(marking)):
            raise ServiceError("ValidationException", f"{role_arn} is not cleared for {marking}.")
        return principal(account, **at(marking))


@dataclass
class FakePermits:
    denied: set = field(default_factory=set)

    def permits(self, principal, action, resource, context):
        return action not in self.denied


@dataclass(frozen=True)
class FakeRuntime:
    python: str | None = "/opt/environments/sklearn/bin/python"
    binds: tuple = ()
    rootfs: Path | None = None
    env: dict = field(default_factory=dict)
    entrypoint: tuple = ()
    workdir: str = "/opt/ml"


@dataclass
class FakeEnvironments:
    runtime: FakeRuntime = field(default_factory=FakeRuntime)

    def for_image(self, uri):
        if "unknown" in uri:
            raise ServiceError("ValidationException", "bastide env build unknown")
        return self.runtime

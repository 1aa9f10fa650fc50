"""A region's worth of jobs for tests: a real runner, a plain kind, real sandboxes."""

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from bastide.db.database import Database
from bastide.jobs import cgroups, host, records
from bastide.jobs.local_executor import LocalExecutor
from bastide.jobs.model import FINISHED, JobSpec, Launch, Limits, Status
from bastide.jobs.ports import JobFailed
from bastide.jobs.runner import Runner
from bastide.kernel.clock import SystemClock
from tests.waiting import eventually

WAIT_S = 30.0
UID_FIRST = 300_000
DEEP = 3_000  # more than functions may call themselves, and than a path may be long


@dataclass
class PlainKind:
    """Runs `payload["argv"]`; keeps what it is told."""

    lines: list[str] = field(default_factory=list)
    collected: list[str] = field(default_factory=list)
    answering: bool = True
    database: Database | None = None  # its site's
    news: threading.Condition = field(default_factory=threading.Condition)

    def prepare(self, job, folder):
        if job.spec.payload.get("unpreparable"):
            raise JobFailed("it cannot be prepared")
        launches = []
        for replica in range(job.spec.replicas):
            home = folder / f"replica-{replica}"
            (home / "input").mkdir(parents=True, exist_ok=True)
            (home / "input" / "given").write_text("data")
            launches.append(self.launch(job, home))
        return launches

    def launch(self, job, home):
        payload = job.spec.payload
        return Launch(
            argv=tuple(payload["argv"]),
            env=dict(payload.get("env", {})),
            home=home,
            port=payload.get("port"),
            root=Path(payload["root"]) if "root" in payload else None,
            binds=tuple(self.binds(home)),
        )

    def binds(self, home):
        from bastide.jobs.model import Bind

        return [Bind(source=home / "input", target="/opt/ml/input")]

    def collect(self, job, folder):
        with self.news:
            self.collected.append(job.spec.id)

    def logged(self, job, replica, lines, beside):
        if self.database is not None:
            self.database.write(beside)
        with self.news:
            self.lines += [text for _, text in lines]
            self.news.notify_all()

    def failure_reason(self, job, exits):
        worst = next((each for each in exits if each.code or each.cause), None)
        if worst is None:
            return ""
        return f"code {worst.code} {worst.cause} {worst.stderr_tail[-500:]}"

    def probe(self, job, replica, socket):
        return self.answering

    def wait_line(self, text, timeout_s=WAIT_S):
        with self.news:
            assert self.news.wait_for(
                lambda: any(text in line for line in self.lines), timeout_s
            ), f"{text!r} not in {self.lines[-20:]}"


class Site:
    """A runner with its database, kind and executor; `restart` begins again on the same state."""

    def __init__(self, folder, executor, kind=None, **runner_options):
        self.folder, self.executor, self.options = folder, executor, runner_options
        self.kind = kind or PlainKind()
        self.changed = threading.Condition()
        self.seen = []
        self.open()

    def open(self):
        self.database = Database(f"sqlite:///{self.folder}/jobs.db")
        self.database.start(create=True)
        self.kind.database = self.database
        self.runner = Runner(
            database=self.database,
            clock=SystemClock(),
            executor=self.executor,
            root=self.folder / "runner",
            **self.options,
        )
        self.runner.register("plain", self.kind)
        self.runner.watch("plain", self._notified)
        self.runner.start()

    def _notified(self, job):
        with self.changed:
            self.seen.append((job.spec.id, job.status))
            self.changed.notify_all()

    def end(self):
        """Leave nothing running behind."""
        for job in self.database.read(records.unfinished):
            self.runner.forget(job.spec.id)
            self.wait_gone(job.spec.id)
        self.close()

    def close(self):
        self.runner.close()
        self.database.close()

    def restart(self):
        self.close()
        self.open()

    def submit(
        self,
        *argv,
        name="job",
        account="111122223333",
        service=False,
        replicas=1,
        beside=None,
        **rest,
    ):
        limits = Limits(
            **({"memory_bytes": 512 << 20, "pids_max": 128, "grace_s": 1} | rest.pop("limits", {}))
        )
        spec = JobSpec(
            id=f"plain/{account}/{name}", kind="plain", account=account, service=service,
            replicas=replicas, limits=limits, payload={"argv": list(argv), **rest},
        )  # fmt: skip
        return self.runner.submit(spec, beside).spec.id

    def wait(self, job_id, *statuses, timeout_s=WAIT_S):
        """The job, once it has one of `statuses` (finished, if none is named)."""
        wanted = set(statuses) or FINISHED
        with self.changed:
            reached = self.changed.wait_for(
                lambda: self.runner.find(job_id).status in wanted, timeout_s
            )
        job = self.runner.find(job_id)
        assert reached, job
        return job

    def wait_gone(self, job_id):
        eventually(lambda: self.runner.find(job_id) is None, WAIT_S)

    def run(self, *argv, **options):
        """The finished job and all that it printed."""
        job = self.wait(self.submit(*argv, **options), Status.COMPLETED, Status.FAILED,
                        Status.STOPPED)  # fmt: skip
        return job, self.kind.lines


def local_executor(folder):
    found = host.examine(folder / "host", probe_uid=UID_FIRST)
    accounts = {}

    def uid_of(account):
        if os.getuid() != 0:
            return None
        return UID_FIRST + 1 + accounts.setdefault(account, len(accounts))

    (folder / "executor").mkdir(exist_ok=True)
    return LocalExecutor(
        folder=folder / "executor",
        bwrap=found.bwrap,
        cgroups=cgroups.detect(),
        seccomp=found.seccomp,
        uid_of=uid_of,
    )


def deep(folder: Path) -> Path:
    """A tree in which functions may not call themselves all the way down, below `folder`; what it
    has a link to lies beside it."""
    root, beside = folder / "root", folder / "beside"
    root.mkdir()
    beside.mkdir()
    (beside / "kept").touch()
    (root / "link").symlink_to(beside)
    (root / "closed").mkdir(mode=0o700)
    held = os.open(root, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("deeper", dir_fd=held)
        os.mkfifo("fifo", dir_fd=held)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=held)
        os.close(held)
        held = inner
    os.close(held)
    return root

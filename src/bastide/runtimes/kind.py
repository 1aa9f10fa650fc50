"""What makes a service job a session: the code unpacked, the agent's server, its health check, and
a way out to this region's own gateway."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bastide.jobs import folders, ping
from bastide.jobs.model import Bind, Exit, Job, JobSpec, Launch, Limits, WayOut
from bastide.jobs.ports import Beside, JobFailed, Logs
from bastide.kernel.errors import ServiceError
from bastide.kernel.regions import Region
from bastide.runtimes import records
from bastide.runtimes.asked import code_of
from bastide.runtimes.book import Book
from bastide.runtimes.code import Code
from bastide.runtimes.model import SERVICE, Session, Version
from bastide.runtimes.ports import Interpreter, Roles

KIND = "agent-runtime"
PORT = 8080  # AWS's contract: /invocations and /ping
GATEWAY_PORT = 9001
CREDENTIALS = "/.bastide/credentials"  # as wire/side_doors.py has it
CODE = "/var/task"
HOME = "/mnt/session"
MEMORY_BYTES = 512 * 1024**2
CPUS = 0.5
DISK_BYTES = 1024**3
PIDS_MAX = 256
GRACE_S = 5
READY_TIMEOUT_S = 120
BUSY = "HealthyBusy"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKind:
    """`doors`: the folder of the sockets. `on_busy`: told the job of a session that says it works
    though nobody waits for it."""

    region: Region
    book: Book
    roles: Roles
    code: Code
    interpreter: Interpreter
    logs: Logs
    doors: Path
    on_busy: Callable[[str], None] = field(default=lambda job_id: None)

    def prepare(self, job: Job, folder: Path) -> Sequence[Launch]:
        row = self.book.database.read(lambda c: records.session_of_job(c, job.spec.id))
        session = None if row is None else self.book.session(row)
        version = None if session is None else self.book.version_of(session)
        if session is None or version is None:
            raise JobFailed("The session is over.")
        try:
            return [self._launch(session, version, folder)]
        except ServiceError as error:
            self._tell(job, f"The session could not begin: {error.message}")
            raise

    def _launch(self, session: Session, version: Version, folder: Path) -> Launch:
        asked, code, home = code_of(version.asked), folder / "code", folder / "session"
        for left in (code, home):
            folders.remove(left)  # what an interrupted try left
        role = self.roles.assume_for_service(
            version.account, version.asked["roleArn"], SERVICE, session.key.label
        )
        self.code.unpack(role, asked, version.code, code)
        home.mkdir()
        way = WayOut(socket=door_of(self.doors, session.job_id), port=GATEWAY_PORT)
        way.socket.parent.mkdir(parents=True, exist_ok=True)
        way.socket.parent.chmod(0o711)
        return Launch(
            argv=(self.interpreter.python, f"{CODE}/{asked['entryPoint'][-1]}"),
            env={**(version.asked.get("environmentVariables") or {}), **self._own(session)},
            home=home,
            home_target=HOME,
            cwd=CODE,
            binds=(Bind(source=code, target=CODE), *self.interpreter.binds),
            hostname="agent",
            serves=True,
            port=PORT,
            way_out=way,
        )

    def _own(self, session: Session) -> dict[str, str]:
        """How AWS's SDKs find this region, and keys for it. It is plain HTTP on a loopback that is
        the sandbox's alone, and from there a socket: no wire that anybody could listen on."""
        gateway = f"http://127.0.0.1:{GATEWAY_PORT}"
        return {
            "AWS_ENDPOINT_URL": gateway,
            "AWS_REGION": self.region.name,
            "AWS_DEFAULT_REGION": self.region.name,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{gateway}{CREDENTIALS}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": session.token,
            "PYTHONPATH": CODE,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def collect(self, job: Job, folder: Path) -> None:
        """A session leaves nothing behind."""

    def logged(
        self, job: Job, replica: int, lines: Sequence[tuple[int, str]], beside: Beside
    ) -> None:
        payload = job.spec.payload
        stream = f"[runtime-logs]{job.spec.id.rpartition('/')[2]}"
        group = group_name(str(payload["runtime"]), str(payload["endpoint"]))
        self.logs.put(job.spec.account, str(payload["label"]), group, stream, lines, beside)

    def _tell(self, job: Job, text: str) -> None:
        self.logged(job, 0, [(self.book.now_ms(), text)], lambda c: None)

    def failure_reason(self, job: Job, exits: Sequence[Exit]) -> str:
        return "The agent's process ended."

    def probe(self, job: Job, replica: int, socket: Path) -> bool:
        """A session that works by itself is not idle: AWS's contract has a word for it."""
        said = ping.said(socket)
        if said is not None and _status_of(said) == BUSY:
            self.on_busy(job.spec.id)
        return said is not None


def spec_of(session: Session, version: Version) -> JobSpec:
    """`wall_s`: the most that a session lives, whether the region does or not."""
    key = session.key
    return JobSpec(
        id=session.job_id,
        kind=KIND,
        account=key.account,
        service=True,
        ready_timeout_s=READY_TIMEOUT_S,
        limits=Limits(
            memory_bytes=MEMORY_BYTES, cpus=CPUS, pids_max=PIDS_MAX, disk_bytes=DISK_BYTES,
            wall_s=version.lifetime_s, grace_s=GRACE_S,
        ),
        payload={"runtime": key.runtime_id, "endpoint": key.endpoint, "label": key.label},
    )  # fmt: skip


def door_of(doors: Path, job_id: str) -> Path:
    return doors / hashlib.sha256(job_id.encode()).hexdigest()[:32] / "gate.sock"


def group_name(runtime_id: str, endpoint: str) -> str:
    return f"/aws/bedrock-agentcore/runtimes/{runtime_id}-{endpoint}"


def _status_of(said: bytes) -> str:
    try:
        told = json.loads(said)
    except ValueError:  # a health check may say anything
        return ""
    return str(told.get("status", "")) if isinstance(told, dict) else ""

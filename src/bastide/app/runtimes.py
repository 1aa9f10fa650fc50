"""AgentCore Runtime, joined to jobs, to roles and to the gateway, to which its doors lead."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.store import Store
from bastide.app.workshop import Workshop
from bastide.db import durable
from bastide.db.marks import Marks
from bastide.environments.build import prefix_of
from bastide.jobs.model import Bind
from bastide.jobs.replicas import Replicas
from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.errors import ServiceError
from bastide.logs.sink import LogSink
from bastide.runtimes import kind
from bastide.runtimes.book import Book
from bastide.runtimes.code import Code
from bastide.runtimes.endpoints import RuntimeEndpoints
from bastide.runtimes.invocations import RuntimeInvocations
from bastide.runtimes.kind import SessionKind
from bastide.runtimes.ports import Own, Whose
from bastide.runtimes.runtimes import AgentRuntimes
from bastide.runtimes.sessions import Sessions
from bastide.runtimes.tags import RuntimeTags
from bastide.wire.gateway import Gateway
from bastide.wire.server import Server
from bastide.wire.side_doors import SideDoors
from bastide.wire.types import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The Python that this region itself runs on, without what is installed for it."""

    runtime: str
    python: str
    binds: tuple[Bind, ...]


def own_interpreter() -> Interpreter:
    major, minor = sys.version_info[:2]
    prefix = prefix_of(Path(sys.executable))
    binds = () if prefix.is_relative_to("/usr") else (Bind(source=prefix, target=str(prefix)),)
    return Interpreter(
        runtime=f"PYTHON_{major}_{minor}",
        python=str(prefix / "bin" / f"python{major}.{minor}"),
        binds=binds,
    )


@dataclass(slots=True)
class GatewayDoors:
    """`runtimes.ports.Doors`. Its doors may be closed from any thread."""

    side: SideDoors | None = None
    loop: asyncio.AbstractEventLoop | None = None

    def open(self, path: Path, whose: Whose, own: Own) -> None:
        assert self.side is not None, "opened before the region serves"
        bound = Bound(
            door=whose.door, account=whose.account, role_arn=whose.role_arn, label=whose.label
        )
        self.side.open(path, bound, own.token, own.issue)

    def close(self, path: Path) -> None:
        if self.side is not None and self.loop is not None:
            with contextlib.suppress(RuntimeError):  # the region stops: all its doors are closed
                self.loop.call_soon_threadsafe(self.side.close, path)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedKeys:
    """`runtimes.ports.Keys`: each issue is an event, as an AssumeRole by the service."""

    core: Core
    identity: Identity

    def issue(
        self, account: str, role_arn: str, service: str, marking: str, name: str
    ) -> Mapping[str, str]:
        core, code = self.core, "InternalFailure"
        label = self.identity.labelling.scheme.parse(marking)
        principal = Principal(
            account=account, arn=service, user_id=service, kind=PrincipalKind.SERVICE,
            issuer_arn=service, name=service, access_key_id="", clearance=label, session=label,
        )  # fmt: skip
        call = Call(
            operation="sts.AssumeRole", region=core.region, principal=principal,
            request_id=core.ids.uuid(), time=core.clock.now(), user_agent=service,
        )  # fmt: skip
        core.trail.opened(call, {"RoleArn": role_arn, "RoleSessionName": name}).result()
        try:
            keys = self.identity.service_keys.issue(account, role_arn, service, marking, name)
            code = ""
        except ServiceError as error:
            code = error.code
            raise
        finally:
            core.trail.closed(call, 400 if code else 200, code)
        return keys


@dataclass(slots=True, kw_only=True)
class RuntimeService:
    sessions: Sessions
    doors: GatewayDoors
    replicas: Replicas
    handlers: dict[str, list[object]]
    _keeping: asyncio.Task[None] | None = field(default=None)

    async def start(self, gateway: Gateway, server: Server) -> None:
        self.doors.side = SideDoors(gateway, server)
        self.doors.loop = asyncio.get_running_loop()
        await self.sessions.take_over()
        self._keeping = asyncio.create_task(self.sessions.keep())

    async def stop(self) -> None:
        """The sessions go on: the next start takes them over."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self.doors.side is not None:
            self.doors.side.close_all()


def open_runtimes(
    core: Core, identity: Identity, store: Store, workshop: Workshop
) -> RuntimeService:
    marks = Marks(labelling=identity.labelling, in_use=core.labels)
    book = Book(
        database=core.database, marks=marks, clock=core.clock, ids=core.ids, sealer=core.keyring
    )
    folder = core.home / "runtimes"
    for each in (folder, folder / "doors", folder / "incoming"):
        durable.folder(each)
    code = Code(
        region=core.region, permits=identity.authorizer, objects=store.space,
        folder=folder / "incoming",
    )  # fmt: skip
    doors, interpreter, replicas = GatewayDoors(), own_interpreter(), Replicas()
    sessions = Sessions(
        book=book, jobs=workshop.jobs, roles=identity.roles,
        keys=RecordedKeys(core=core, identity=identity), doors=doors, doors_at=folder / "doors",
    )  # fmt: skip
    workshop.runner.register(
        kind.KIND,
        SessionKind(
            region=core.region, book=book, roles=identity.roles, code=code,
            interpreter=interpreter, doors=folder / "doors", on_busy=sessions.touch,
            logs=LogSink(database=core.database, labels=core.labels, clock=core.clock),
        ),
    )  # fmt: skip
    identity.resources.labelled["bedrock-agentcore"] = lambda who, arn, _: book.label(who, arn)
    identity.resources.tagged["bedrock-agentcore"] = lambda who, arn, _: book.tags(who, arn)
    return RuntimeService(
        sessions=sessions,
        doors=doors,
        replicas=replicas,
        handlers={
            "bedrock-agentcore-control": [
                AgentRuntimes(
                    book=book, roles=identity.roles, code=code, interpreter=interpreter,
                    sessions=sessions,
                ),
                RuntimeEndpoints(book=book, sessions=sessions),
                RuntimeTags(book=book),
            ],
            "bedrock-agentcore": [
                RuntimeInvocations(book=book, sessions=sessions, replicas=replicas)
            ],
        },
    )  # fmt: skip

"""Lambda's functions, joined to the sandbox, to roles, to logs and to the store."""

from dataclasses import dataclass

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.store import Store
from bastide.app.workshop import Workshop
from bastide.db.marks import Marks
from bastide.functions.executors import Executors
from bastide.functions.fleet import Fleet
from bastide.functions.functions import Functions
from bastide.functions.interpreter import Interpreter
from bastide.functions.invocations import Invocations
from bastide.functions.invoking import Invoking
from bastide.functions.permissions import Permissions
from bastide.functions.shelf import Shelf
from bastide.functions.tags import Tags
from bastide.jobs import cage
from bastide.jobs.walls import told
from bastide.logs.sink import LogSink
from bastide.wire.pool import Pool

MIB = 1024 * 1024
ROOM_PART = 4  # of the memory that jobs may have, a fourth is for functions beside them
ROOM_MIB_LEAST = 1_024
THREADS = 32  # that wait for functions


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionService:
    """`threads` and `fleet`: to be closed."""

    shelf: Shelf
    fleet: Fleet
    executors: Executors
    interpreter: Interpreter
    threads: Pool
    handlers: dict[str, list[object]]

    def close(self) -> None:
        self.fleet.close()
        self.threads.close()


def open_functions(
    core: Core, identity: Identity, store: Store, workshop: Workshop
) -> FunctionService:
    shelf = Shelf(
        region=core.region,
        database=core.database,
        clock=core.clock,
        ids=core.ids,
        marks=Marks(labelling=identity.labelling, in_use=core.labels),
        sealer=core.keyring,
    )
    fleet = _fleet(core, workshop)
    logs = LogSink(database=core.database, labels=core.labels, clock=core.clock)
    invoking = Invoking(
        shelf=shelf,
        fleet=fleet,
        roles=identity.roles,
        logs=logs,
        missing=told(workshop.missing) if workshop.missing else "",
    )
    threads = Pool(THREADS, "functions")
    identity.resources.labelled["lambda"] = lambda who, arn, _: shelf.label(who, arn)
    identity.resources.tagged["lambda"] = lambda who, arn, _: shelf.tags(who, arn)
    return FunctionService(
        shelf=shelf,
        fleet=fleet,
        executors=Executors(
            shelf=shelf, invoking=invoking, permits=identity.authorizer, threads=threads
        ),
        interpreter=Interpreter(fleet=fleet, threads=threads, missing=invoking.missing),
        threads=threads,
        handlers={
            "lambda": [
                Functions(
                    shelf=shelf,
                    fleet=fleet,
                    roles=identity.roles,
                    permits=identity.authorizer,
                    objects=store.space,
                ),
                Invocations(shelf=shelf, invoking=invoking, threads=threads),
                Permissions(shelf=shelf),
                Tags(shelf=shelf),
            ]
        },
    )


def _fleet(core: Core, workshop: Workshop) -> Fleet:
    """As the uid of each agency's own, as its jobs are."""
    machine = workshop.machine

    def walls_of(account: str) -> cage.Walls:
        uid = workshop.uid_of(account)
        return cage.Walls(bwrap=machine.bwrap or None, seccomp=machine.seccomp, uid_first=uid)

    room_mib = max(ROOM_MIB_LEAST, workshop.total.memory_bytes // MIB // ROOM_PART)
    return Fleet(
        folder=core.home / "functions",
        walls_of=walls_of,
        cgroups=machine.cgroups,
        room_mib=room_mib,
        ids=core.ids,
    )

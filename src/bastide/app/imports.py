"""Models that agencies bring, joined to the store, to the cage and to the engines."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.store import Store
from bastide.app.workshop import Workshop
from bastide.db import durable
from bastide.db.marks import Marks
from bastide.inference.canary import Canary
from bastide.inference.engine_client import EngineClient
from bastide.inference.engines import Engines
from bastide.jobs import cage
from bastide.jobs.worker import Worker, WorkerFailed
from bastide.kernel.errors import Unavailable
from bastide.keys.keyring import Keyring
from bastide.models.import_jobs import ImportJobs, ImportJobShelf
from bastide.models.import_work import ImportWork
from bastide.models.imported_models import (
    JOB_KIND,
    KIND,
    WEIGHTS,
    ImportedModels,
    ImportShelf,
)
from bastide.models.importer import Importer
from bastide.models.importing.facts import Asked, Judged
from bastide.models.model import ModelCard
from bastide.models.tags import Keeper
from bastide.training.transfer import Transfer

MODULE = "bastide.models.importing.worker"
JUDGE_TIMEOUT_S = 3600.0
MEMORY_BYTES = 8 << 30  # of address space: a matrix whose rows change places is held whole
LOOP_TIMEOUT_S = 1800.0  # a model may wait for its turn, load and answer
UNLOAD_TIMEOUT_S = 30.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CagedJudge:
    """`models.ports.Judge`: a cage of its own for each model."""

    walls: cage.Walls

    def judge(self, folder: Path, out: Path, bytes_max: int) -> Judged:
        if self.walls.uid_first is not None:
            os.chown(out, self.walls.uid_first, self.walls.uid_first)
        folder.chmod(0o755)  # for that uid; nobody else passes the folders above
        worker = Worker(
            walls=self.walls,
            module=MODULE,
            reads=[str(folder)],
            writes=[str(out)],
            memory_bytes=MEMORY_BYTES,
            out_bytes_max=2 * bytes_max,
        )
        asked = Asked(folder=str(folder), out=str(out / WEIGHTS))
        try:
            said = worker.ask(msgspec.msgpack.encode(asked), JUDGE_TIMEOUT_S)
            return msgspec.msgpack.decode(said, type=Judged)
        except (WorkerFailed, msgspec.DecodeError) as error:
            return Judged(reason=f"The files could not be read: {error}.")
        finally:
            worker.close()


@dataclass(frozen=True, slots=True)
class KeysOf:
    """`models.ports.Keys`."""

    keyring: Keyring

    def newest(self, account: str, label: str) -> str:
        return self.keyring.current(account, label).id

    def lives(self, key_id: str) -> bool:
        try:
            self.keyring.by_id(key_id)
        except KeyError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class OnTheLoop:
    """`models.ports.Running`, for threads: engines live on the event loop."""

    loop: asyncio.AbstractEventLoop
    engines: Engines
    canary: Canary

    def reason_against(self, card: ModelCard, owner: str, label: str) -> str:
        return self._done(self.canary.reason_against(card, owner, label), LOOP_TIMEOUT_S)

    def unload(self, name: str) -> None:
        self._done(self.engines.unload(name), UNLOAD_TIMEOUT_S)

    def _done(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        return on_the_loop(self.loop, work, timeout_s)


def on_the_loop(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], timeout_s: float
) -> T:
    """Raises Unavailable where the loop has ended, or is too slow."""
    try:
        asked: Future[T] = asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError as error:
        work.close()
        raise Unavailable("the region ends") from error
    try:
        return asked.result(timeout_s)
    except CancelledError as error:  # the engines ended under it
        raise Unavailable("the region ends") from error
    except TimeoutError as error:
        asked.cancel()
        raise Unavailable("the engines are busy") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    work: ImportWork
    handlers: Sequence[object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What imports stand on beside the core."""

    identity: Identity
    store: Store
    workshop: Workshop
    engines: Engines
    client: EngineClient
    shelf: ImportShelf
    keepers: dict[str, Keeper]


def import_shelf(core: Core, identity: Identity) -> ImportShelf:
    folder = core.home / "imported"
    durable.folder(folder)
    return ImportShelf(
        region=core.region,
        database=core.database,
        marks=Marks(labelling=identity.labelling, in_use=core.labels),
        folder=folder,
    )


def open_imports(core: Core, needs: Needs) -> Imports:
    """Made inside the event loop that the engines run on."""
    identity, shelf = needs.identity, needs.shelf
    running = OnTheLoop(
        asyncio.get_running_loop(), needs.engines, Canary(needs.engines, needs.client)
    )
    wanted = core.settings.models
    importer = Importer(
        shelf=shelf,
        database=core.database,
        clock=core.clock,
        roles=identity.roles,
        reading=lambda who: Transfer(
            region=core.region,
            principal=who,
            objects=needs.store.space,
            permits=identity.authorizer,
        ),
        keys=KeysOf(core.keyring),
        judge=CagedJudge(needs.workshop.cage_for("importer")),
        running=running,
        licences=tuple(name.lower() for name in wanted.licences),
        bytes_max=wanted.import_mib_max << 20,
    )
    work = ImportWork(database=core.database, importer=importer)
    jobs = ImportJobShelf(
        region=shelf.region, database=shelf.database, marks=shelf.marks, models=shelf
    )
    needs.keepers[KIND], needs.keepers[JOB_KIND] = shelf, jobs
    _tell_authorizer(identity, shelf, jobs)
    poke: Callable[[], None] = work.poke
    return Imports(
        work=work,
        handlers=(
            ImportJobs(jobs=jobs, clock=core.clock, ids=core.ids, roles=identity.roles, poke=poke),
            ImportedModels(shelf=shelf, discard=work.discard),
        ),
    )


def _tell_authorizer(identity: Identity, shelf: ImportShelf, jobs: ImportJobShelf) -> None:
    resources = identity.resources
    model, job = f"bedrock:{KIND}", f"bedrock:{JOB_KIND}"
    resources.tagged[model] = lambda who, arn, _: shelf.tags(who, arn)
    resources.labelled[model] = lambda who, arn, _: shelf.label(who, arn)
    resources.tagged[job] = lambda who, arn, _: jobs.tags(who, arn)
    resources.labelled[job] = lambda who, arn, _: jobs.label(who, arn)
    resources.identified_by[KIND] = shelf.identified
    resources.identified_by[JOB_KIND] = jobs.identified

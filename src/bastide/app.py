"""The composition root: the only file that knows everyone. `python -m bastide.app --region NAME`.

One region is one process: it opens its database, its keys and its audit log, puts every context
together, and then serves AWS's APIs over TLS and the operators' over a unix socket.
"""

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from bastide import __version__
from bastide.audit.log import MerkleLog, TornLog
from bastide.audit.signing import load_signer
from bastide.audit.trail import AuditTrail
from bastide.db import Database, durable
from bastide.db.migrate import migrate
from bastide.environments import locks_folder
from bastide.environments.catalogue import Environments
from bastide.evidence.events import Events
from bastide.identity.access_keys import AccessKeys, KeyMaker, ServiceSpecificCredentials
from bastide.identity.agencies import Agencies
from bastide.identity.credentials import KnownCredentials
from bastide.identity.directory import Directory
from bastide.identity.entities import Entities
from bastide.identity.policies import ManagedPolicies
from bastide.identity.roles import Roles
from bastide.identity.service_roles import ServiceRoles
from bastide.identity.sessions import Sessions
from bastide.identity.simulation import Simulation
from bastide.identity.tokens import SessionTokens
from bastide.identity.users import Users
from bastide.inference.converse import Conversations
from bastide.inference.engine_client import EngineClient
from bastide.inference.engines import Engines
from bastide.inference.model import EngineTask, RemoteEngine
from bastide.jobs import capacity, host
from bastide.jobs.local_executor import LocalExecutor
from bastide.jobs.runner import Runner
from bastide.jobs.uids import Uids
from bastide.kernel.clock import SystemClock
from bastide.kernel.ids import SystemIds
from bastide.kernel.regions import Region
from bastide.keys.keyring import Keyring
from bastide.logs.events import LogEvents
from bastide.logs.groups import LogGroups
from bastide.logs.metrics import Metrics
from bastide.logs.sink import LogSink, MetricSink
from bastide.logs.streams import LogStreams
from bastide.models.aliases import Aliases
from bastide.models.catalogue import Models, packaged
from bastide.models.foundation_models import FoundationModels
from bastide.models.inference_profiles import InferenceProfiles
from bastide.models.shelf import Shelf as ModelShelf
from bastide.operators.agencies import AgencyRoom
from bastide.operators.api import Operators
from bastide.operators.environments import EnvironmentRoom
from bastide.policy.authorizer import PolicyAuthorizer, PolicyChecks
from bastide.serving import records as serving_records
from bastide.serving import serve_script
from bastide.serving.endpoint_configs import EndpointConfigs
from bastide.serving.endpoints import Endpoints
from bastide.serving.invocations import Invocations
from bastide.serving.kind import EndpointKind
from bastide.serving.models import Models as ServedModels
from bastide.serving.routes import Routes
from bastide.serving.settling import Settler
from bastide.serving.unix_http import Connections
from bastide.settings import RegionSettings, SettingsError, Site, load
from bastide.store.blobs import Blobs
from bastide.store.bucket_policy import BucketPolicies
from bastide.store.buckets import Buckets
from bastide.store.content import Buffers, Content
from bastide.store.copies import Copies
from bastide.store.listing import Listing
from bastide.store.multipart import Multipart
from bastide.store.objects import Objects
from bastide.store.objects_api import ObjectSpace
from bastide.store.requests import Doors
from bastide.store.shelf import Shelf
from bastide.store.tagging import Tagging
from bastide.store.upkeep import Upkeep
from bastide.store.versioning import Versioning
from bastide.training import instances, training_jobs
from bastide.training.kind import TrainingKind
from bastide.training.scanner import PatternScanner
from bastide.training.tags import Tags, TagStore
from bastide.wire import tls
from bastide.wire.authenticate import Authenticator
from bastide.wire.gateway import Gateway, Stages
from bastide.wire.model import SERVICES, Catalogue
from bastide.wire.model import region as region_named
from bastide.wire.server import bound_socket, make_server

logger = logging.getLogger("bastide")
STORE_HASHERS = 8
OPERATOR_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What every context stands on."""

    region: Region
    home: Path
    settings: RegionSettings
    clock: SystemClock
    ids: SystemIds
    database: Database
    keyring: Keyring
    log: MerkleLog
    trail: AuditTrail

    def close(self) -> None:
        self.log.close()
        self.database.close()


def open_core(site: Site, name: str) -> Core:
    """Open the database, the keys and the audit log; refuses a log that is not what was signed."""
    home = site.region_home(name)
    settings = site.settings.region(name)
    durable.folder(home)
    url = settings.database or f"sqlite:///{home / 'region.db'}"
    migrate(url)
    database = Database(url)
    database.start()
    clock, ids = SystemClock(), SystemIds()
    signer = load_signer(home / "audit", f"bastide/{name}")
    log = MerkleLog(database, signer, clock, held=home / "audit" / "held.checkpoint")
    log.start()
    return Core(
        region=region_named(name),
        home=home,
        settings=settings,
        clock=clock,
        ids=ids,
        database=database,
        keyring=Keyring(home / "keys"),
        log=log,
        trail=AuditTrail(log, clock, ids),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The trusted core: who is it, and what may they."""

    directory: Directory
    authorizer: PolicyAuthorizer
    checks: PolicyChecks
    credentials: KnownCredentials
    roles: ServiceRoles
    agencies: Agencies
    handlers: dict[str, list[object]]


class BucketPolicySource:
    """The store's bucket policies, for the authorizer; the store itself is made after it."""

    def __init__(self) -> None:
        self.space: ObjectSpace | None = None

    def bucket_policy(self, account: str, bucket: str) -> str | None:
        return self.space.bucket_policy(account, bucket) if self.space else None


@dataclass(frozen=True, slots=True)
class BucketPolicyCheck:
    """Judges a bucket policy before the store keeps it."""

    checks: PolicyChecks

    def check_bucket_policy(self, account: str, bucket_arn: str, document: str) -> None:
        self.checks.check(document, "resource", "MalformedPolicy")


def open_identity(core: Core, bucket_policies: BucketPolicySource) -> Identity:
    directory = Directory(region=core.region, database=core.database)
    authorizer = PolicyAuthorizer(principals=directory, resources=bucket_policies)
    checks = PolicyChecks(authorizer=authorizer)
    entities = Entities(
        directory=directory, database=core.database, checks=checks, clock=core.clock, ids=core.ids
    )
    maker = KeyMaker(sealer=core.keyring, clock=core.clock, ids=core.ids)
    tokens = SessionTokens(sealer=core.keyring, clock=core.clock, ids=core.ids)
    return Identity(
        directory=directory,
        authorizer=authorizer,
        checks=checks,
        credentials=KnownCredentials(directory=directory, maker=maker, tokens=tokens),
        roles=ServiceRoles(directory=directory, checks=checks),
        agencies=Agencies(entities=entities, maker=maker),
        handlers={
            "iam": [
                Users(entities=entities),
                Roles(entities=entities),
                ManagedPolicies(entities=entities),
                AccessKeys(entities=entities, maker=maker),
                ServiceSpecificCredentials(entities=entities, maker=maker),
                Simulation(directory=directory, checks=checks),
            ],
            "sts": [Sessions(directory=directory, checks=checks, tokens=tokens)],
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    space: ObjectSpace
    handlers: dict[str, list[object]]


def open_store(core: Core, identity: Identity) -> Store:
    blobs = Blobs(core.home / "objects")
    Upkeep(database=core.database, blobs=blobs, keyring=core.keyring).start()
    label = core.settings.default_label
    content = Content(
        blobs=blobs,
        keyring=core.keyring,
        clock=core.clock,
        ids=core.ids,
        hashing=ThreadPoolExecutor(STORE_HASHERS, "hashing"),
        buffers=Buffers(),
    )
    shelf = Shelf(
        database=core.database,
        content=content,
        clock=core.clock,
        ids=core.ids,
        label_of=lambda account, bucket, tags: label,
    )
    doors = Doors(database=core.database, access=identity.authorizer)
    database, keyring = core.database, core.keyring
    buckets = Buckets(
        database=database, doors=doors, shelf=shelf, keyring=keyring, clock=core.clock, ids=core.ids
    )
    handlers: list[object] = [
        buckets,
        Objects(shelf=shelf, doors=doors),
        Copies(shelf=shelf, doors=doors),
        Listing(database=database, doors=doors, keyring=keyring),
        Multipart(shelf=shelf, doors=doors),
        Tagging(shelf=shelf, doors=doors),
        BucketPolicies(
            database=database, doors=doors, documents=BucketPolicyCheck(identity.checks)
        ),
        Versioning(database=database, doors=doors),
    ]
    return Store(space=ObjectSpace(shelf=shelf), handlers={"s3": handlers})


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Jobs, and what they run in."""

    host: host.Host
    runner: Runner
    total: capacity.Capacity
    environments: Environments


def open_workshop(core: Core) -> Workshop:
    """Looks at the machine; refuses to run jobs where a wall is missing that nobody gave up."""
    wanted = core.settings.jobs
    found = host.examine(
        core.home / "sandbox", probe_uid=wanted.uid_first, wheel=_beside_python("bwrap")
    )
    uids = Uids(database=core.database, first=wanted.uid_first, count=wanted.uid_count)
    is_root = os.getuid() == 0
    durable.folder(core.home / "executor")
    executor = LocalExecutor(
        folder=core.home / "executor",
        bwrap=found.bwrap,
        cgroups=found.cgroups,
        seccomp=found.seccomp,
        uid_of=uids.of if is_root else lambda account: None,
    )
    memory = None if wanted.memory_mib is None else wanted.memory_mib * 1024**2
    total = capacity.of_host(wanted.cpus, memory)
    runner = Runner(
        database=core.database,
        clock=core.clock,
        executor=executor,
        root=core.home / "jobs",
        total=total,
    )
    environments = Environments(
        folder=(core.home / "environments").resolve(),
        locks={path.stem: path for path in locks_folder().glob("*.txt")},
        uv=_beside_python("uv"),
    )
    return Workshop(host=found, runner=runner, total=total, environments=environments)


def _beside_python(name: str) -> Path | None:
    path = Path(sys.executable).parent / name
    return path if path.exists() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLearning:
    """SageMaker, logs and metrics."""

    settler: Settler
    connections: Connections
    scanner: PatternScanner
    metric_sink: MetricSink
    handlers: dict[str, list[object]]


def open_machine_learning(
    core: Core, identity: Identity, store: Store, workshop: Workshop
) -> MachineLearning:
    database, clock = core.database, core.clock
    runner, roles, environments = workshop.runner, identity.roles, workshop.environments
    log_sink = LogSink(database=database, clock=clock)
    metric_sink = MetricSink(database=database, clock=clock)
    scanner, connections = PatternScanner(), Connections()
    runner.register(
        "training",
        TrainingKind(
            region=core.region,
            database=database,
            roles=roles,
            permits=identity.authorizer,
            objects=store.space,
            environments=environments,
            logs=log_sink,
            metrics=metric_sink,
            scanner=scanner,
        ),
    )
    runner.register(
        "endpoint",
        EndpointKind(
            region=core.region,
            roles=roles,
            permits=identity.authorizer,
            objects=store.space,
            environments=environments,
            logs=log_sink,
            script=Path(serve_script.__file__),
            connections=connections,
        ),
    )
    total = workshop.total
    machine = instances.Machine(min(total.cpus, os.cpu_count() or 1), total.memory_bytes)
    tags, routes = TagStore(database=database), Routes(database=database)
    settler = Settler(database=database, clock=clock, jobs=runner, routes=routes)

    def sizes(instance_type: str) -> tuple[float, int]:
        size = machine.fit(instances.size_of(instance_type))
        return size.cpus, size.memory_bytes

    jobs = training_jobs.TrainingJobs(
        database=database,
        clock=clock,
        jobs=runner,
        roles=roles,
        environments=environments,
        tags=tags,
        machine=machine,
    )
    sagemaker: list[object] = [
        jobs,
        Tags(database=database, nouns=_taggable(database)),
        ServedModels(
            database=database, clock=clock, roles=roles, environments=environments, tags=tags
        ),
        EndpointConfigs(database=database, clock=clock, sizes=sizes, tags=tags),
        Endpoints(
            database=database,
            clock=clock,
            ids=core.ids,
            jobs=runner,
            sizes=sizes,
            settler=settler,
            tags=tags,
        ),
    ]
    invocations = Invocations(
        clock=clock, jobs=runner, routes=routes, connections=connections, metrics=metric_sink
    )
    return MachineLearning(
        settler=settler,
        connections=connections,
        scanner=scanner,
        metric_sink=metric_sink,
        handlers={
            "sagemaker": sagemaker,
            "sagemaker-runtime": [invocations],
            "logs": [
                LogGroups(database=database, clock=clock),
                LogStreams(database=database, clock=clock),
                LogEvents(database=database, clock=clock),
            ],
            "cloudwatch": [Metrics(database=database, clock=clock, sink=metric_sink)],
            "cloudtrail": [Events(database=database, sealer=core.keyring, clock=clock)],
        },
    )


def _taggable(database: Database) -> dict[str, Callable[[str, str], bool]]:
    """The nouns of SageMaker that carry tags, each with whether one exists."""

    def stored(table: Any, noun: str) -> Callable[[str, str], bool]:
        return lambda account, name: database.read(
            lambda c: serving_records.has_arn(c, table, account, f"{noun}/{name}")
        )

    return {
        "training-job": lambda account, name: training_jobs.exists(database, account, name),
        "model": stored(serving_records.models, "model"),
        "endpoint-config": stored(serving_records.configs, "endpoint-config"),
        "endpoint": stored(serving_records.endpoints, "endpoint"),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Bedrock:
    models: Models
    engines: Engines
    client: EngineClient
    handlers: dict[str, list[object]]


def open_bedrock(core: Core) -> Bedrock:
    wanted = core.settings.engines
    folder = (core.home / "models").resolve()
    durable.folder(folder)
    aliases = Aliases(folder / "aliases.json", core.settings.aliases)
    models = Models(
        shelf=ModelShelf(folder=folder, clock=core.clock),
        entries=packaged(),
        aliases=aliases,
        remote_ids=tuple(wanted.urls),
    )
    task = EngineTask(
        memory_budget_mib=wanted.memory_budget_mib,
        threads=wanted.threads,
        slots=wanted.slots,
        context_tokens=wanted.context_tokens,
        load_timeout_s=wanted.load_timeout_s,
    )
    remote = {
        model_id: RemoteEngine(
            url=one.url,
            model=one.model,
            key=Path(one.key_file).read_text().strip() if one.key_file else "",
        )
        for model_id, one in wanted.urls.items()
    }
    engines = Engines(task=task, clock=core.clock, ids=core.ids, remote=remote)
    client = EngineClient()
    talk = Conversations(models=models, engines=engines, client=client, clock=core.clock)
    return Bedrock(
        models=models,
        engines=engines,
        client=client,
        handlers={
            "bedrock": [FoundationModels(models=models), InferenceProfiles(models=models)],
            "bedrock-runtime": [talk],
        },
    )


class MissingWalls(Exception):
    """The sandbox lacks layers that the site has not given up by name."""


class RegionProcess:
    """One region, from open to close. Made inside the event loop that it runs on."""

    def __init__(self, site: Site, name: str) -> None:
        self._stopping = asyncio.Event()
        self._site = site
        self.core = core = open_core(site, name)
        self.catalogue = Catalogue()
        policies = BucketPolicySource()
        self.identity = open_identity(core, policies)
        store = open_store(core, self.identity)
        policies.space = store.space
        self.workshop = open_workshop(core)
        self.learning = open_machine_learning(core, self.identity, store, self.workshop)
        self.bedrock = open_bedrock(core)
        self.executor = ThreadPoolExecutor(core.settings.handler_threads, "handler")
        self.operator_executor = ThreadPoolExecutor(OPERATOR_THREADS, "operator")
        self.gateway = self._gateway(store)
        self.listener = bound_socket(core.settings.host, core.settings.port)
        self.certificates = self._certificates()

    def _gateway(self, store: Store) -> Gateway:
        core, region = self.core, self.core.region
        services = frozenset(self.catalogue.service(name).signing_name for name in SERVICES) | {
            "bedrock-mantle"
        }
        home_region = tls.global_region(region)
        stages = Stages(
            region=region,
            clock=core.clock,
            ids=core.ids,
            catalogue=self.catalogue,
            authenticator=Authenticator(
                credentials=self.identity.credentials,
                services=services,
                regions={"": frozenset({region.name}), "iam": frozenset({home_region})},
                allow_plain=core.settings.plain_http,
            ),
            authorizer=self.identity.authorizer,
            auditor=core.trail,
            executor=self.executor,
        )
        gateway = Gateway(stages)
        parts = (self.identity, store, self.learning, self.bedrock)
        for handlers in (part.handlers for part in parts):
            for service, made in handlers.items():
                for handler in made:
                    gateway.register(service, handler)
        return gateway

    def _certificates(self) -> tls.Certificates | None:
        settings = self.core.settings
        if settings.plain_http:
            if settings.host not in ("127.0.0.1", "::1", "localhost"):
                raise SettingsError("plain_http is for a loopback host only.")
            return None
        names = [*tls.host_names(self.core.region, self.catalogue), *settings.host_names]
        return tls.ensure(self.core.home / "tls", names, self.core.region, self.core.clock)

    @property
    def endpoint(self) -> str:
        scheme = "http" if self.certificates is None else "https"
        return f"{scheme}://localhost:{self.listener.getsockname()[1]}"

    def connection(self) -> dict[str, str]:
        """What a client's environment says of this region."""
        found = {"AWS_ENDPOINT_URL": self.endpoint}
        if self.certificates is not None:
            found["AWS_CA_BUNDLE"] = found["REQUESTS_CA_BUNDLE"] = str(self.certificates.ca)
        return found

    def status(self) -> Mapping[str, Any]:
        """What `bastide status` prints."""
        core, host_ = self.core, self.workshop.host
        return {
            "region": core.region.name,
            "partition": core.region.partition,
            "version": __version__,
            "pid": os.getpid(),
            "endpoint": self.endpoint,
            "ca_bundle": str(self.certificates.ca) if self.certificates else "",
            "agencies": len(self.identity.agencies.list()),
            "audit_records": core.log.size,
            "operations": len(self.gateway.handlers),
            "engines": self.bedrock.engines.rows(),
            "layers": [
                {"name": layer.name, "present": layer.present, "why": layer.why}
                for layer in host_.layers
            ],
        }

    def check_walls(self) -> None:
        missing = self.workshop.host.missing(self.core.settings.jobs.allow_missing_layers)
        if missing:
            told = "; ".join(f"{layer.name} ({layer.why})" for layer in missing)
            raise MissingWalls(
                f"The sandbox lacks: {told}. Jobs are refused. To accept that, name these layers "
                "in allow_missing_layers of bastide.toml."
            )

    async def run(self) -> None:
        """Serve until told to stop, then close everything in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self.workshop.runner.start()
        self.learning.settler.start()
        certificates = self.certificates
        server = make_server(
            self.gateway,
            certificate=certificates.certificate if certificates else None,
            key=certificates.key if certificates else None,
        )
        serving = asyncio.create_task(server.serve(sockets=[self.listener]))
        control = await self._open_control()
        logger.info("region %s is ready at %s", self.core.region.name, self.endpoint)
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        await control.cleanup()
        await self._close()

    async def _open_control(self) -> web.AppRunner:
        operators = Operators(
            agencies=AgencyRoom(
                agencies=self.identity.agencies,
                region=self.core.region,
                connection=self.connection(),
            ),
            environments=EnvironmentRoom(self.workshop.environments),
            models=self.bedrock.models,
            trail=self.core.trail,
            status=self.status,
            hosts_lines=lambda: tls.hosts_lines(self.core.region, self.catalogue, "127.0.0.1"),
            stop=self._stopping.set,
            executor=self.operator_executor,
        )
        path = self._site.control_socket(self.core.region.name)
        path.unlink(missing_ok=True)
        runner = web.AppRunner(operators.application(), access_log=None)
        await runner.setup()
        before = os.umask(0o177)
        try:
            await web.UnixSite(runner, str(path)).start()
        finally:
            os.umask(before)
        return runner

    async def _close(self) -> None:
        await self.bedrock.engines.close()
        await self.bedrock.client.close()
        await asyncio.to_thread(self._close_threads)

    def _close_threads(self) -> None:
        self.learning.settler.close()
        self.workshop.runner.close()
        self.learning.scanner.close()
        self.learning.connections.close()
        self.learning.metric_sink.flush()
        for executor in (self.executor, self.operator_executor):
            executor.shutdown(cancel_futures=True)
        self.core.close()


def _locked(home: Path) -> int:
    """One process for each region: its lock, held until the process ends."""
    durable.folder(home)
    descriptor = os.open(home / "region.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"The region at {home} is running already.")
    return descriptor


async def _run(site: Site, name: str) -> None:
    process = RegionProcess(site, name)
    process.check_walls()
    await process.run()


def main() -> None:
    parser = argparse.ArgumentParser(description="Run one region.")
    parser.add_argument("--region", required=True)
    name = parser.parse_args().region
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        site = load()
        lock = _locked(site.region_home(name))
        uvloop.run(_run(site, name))
        os.close(lock)
    except (SettingsError, MissingWalls, TornLog, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()

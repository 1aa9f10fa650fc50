"""One region, from open to close: every context joined, AWS's APIs and the operators' served."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiohttp import web

from bastide import __version__
from bastide.app import agents, bedrock, knowledge
from bastide.app.agents import AgentService, open_agents
from bastide.app.apart import own_uid
from bastide.app.approvals import open_approvals
from bastide.app.bedrock import open_bedrock
from bastide.app.core import open_core
from bastide.app.documents import open_documents
from bastide.app.evidence import open_evidence
from bastide.app.functions import open_functions
from bastide.app.guardrails import open_guardrails
from bastide.app.identity import open_identity
from bastide.app.kms import open_kms
from bastide.app.knowledge import Knowledge, open_knowledge
from bastide.app.learning import open_machine_learning, tell_authorizer
from bastide.app.operators import Manageable, open_operators
from bastide.app.runtimes import open_runtimes
from bastide.app.store import Store, open_store
from bastide.app.transfer import AskedOfficers, Joined, open_listener, open_transfer
from bastide.app.workshop import open_workshop
from bastide.audit.receipts import Receipts
from bastide.jobs.walls import told
from bastide.kernel.unix_names import short_name
from bastide.operators.door import Door
from bastide.operators.region_routes import RegionRoutes
from bastide.settings import SettingsError, Site
from bastide.wire import tls
from bastide.wire.authenticate import Authenticator
from bastide.wire.gateway import Gateway, Stages
from bastide.wire.model import EVERY, Catalogue
from bastide.wire.page_tokens import PageTokens
from bastide.wire.pool import Pool
from bastide.wire.server import make_server

OPERATOR_THREADS = 4
YOUNG_OBJECTS = 20_000  # a request makes hundreds, and few circles: Python's 700 looked each time
logger = logging.getLogger("bastide")


def settle_memory() -> None:
    """Keep what was made at the start out of the collector's sight. The models alone are 150,000
    objects: to look through them stopped everything for 0.1 s, once in 1,500 requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def _door_at(path: Path) -> socket.socket:
    """A unix socket that only its owner opens, in a folder that only its owner enters."""
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX)
    with short_name(path) as name:
        door.bind(name)
    path.chmod(0o600)
    return door


class RegionProcess:
    """One region, from open to close. Made inside the event loop that it runs on."""

    def __init__(self, site: Site, name: str, listener: socket.socket) -> None:
        self._stopping = asyncio.Event()
        self._site = site
        self.core = core = open_core(site, name)
        self.approvals = open_approvals(core)
        self.catalogue = Catalogue()
        self.identity = open_identity(core)
        resources = self.identity.resources
        self.kms = open_kms(core, self.identity, self.approvals.book)
        self.store = store = open_store(core, self.identity, self.kms.vault, self.approvals.book)
        resources.space = store.space
        self.workshop = open_workshop(core)
        receipts = Receipts(
            label_of=lambda call: call.notes.label or call.principal.session.text,
            policy_of=self.identity.authorizer.version,
            watts_per_core=core.settings.watts_per_core,
        )
        self.learning = open_machine_learning(core, self.identity, store, self.workshop, receipts)
        self.guardrails = open_guardrails(core, self.identity, self.workshop, self.approvals.book)
        self.documents = open_documents(self.workshop)
        self.bedrock = open_bedrock(
            core,
            bedrock.Needs(
                identity=self.identity,
                workshop=self.workshop,
                receipts=receipts,
                guards=self.guardrails.guards,
                documents=self.documents,
                store=store,
            ),
        )
        self.guardrails.join(self.bedrock)
        self.knowledge = self._knowledge(store)
        self.runtimes = open_runtimes(core, self.identity, store, self.workshop)
        self.functions = open_functions(core, self.identity, store, self.workshop)
        self.agents = self._agents(store, receipts)
        self.evidence = open_evidence(core, self.identity, store, self.approvals.book)
        resources.labelled["cloudtrail"] = self.evidence.delivery.label
        resources.delivered = self.evidence.delivery.is_delivered
        resources.catalogue = self.bedrock.models
        joined = Joined(
            identity=self.identity,
            store=store,
            models=self.bedrock.models,
            approvals=AskedOfficers(self.approvals.book),
            environments=self.workshop.environments,
            catalogue=self.catalogue,
            machine=self.workshop.machine,
        )
        self.transfers = open_transfer(core, joined)
        self.datagrams = open_listener(core, self.transfers)
        tell_authorizer(self.learning, store, resources)
        self.threads = Pool(core.settings.handler_threads, "handler")
        self.upload_threads = Pool(core.settings.upload_threads, "upload")
        self.operator_executor = ThreadPoolExecutor(OPERATOR_THREADS, "operator")
        self.gateway = self._gateway(store)
        self.listener = listener
        self.certificates = self._certificates()

    def _knowledge(self, store: Store) -> Knowledge:
        return open_knowledge(
            self.core,
            knowledge.Needs(
                identity=self.identity,
                store=store,
                workshop=self.workshop,
                models=self.bedrock.models,
                embedder=self.bedrock.embedder,
                quotas=self.bedrock.quotas,
                conversations=self.bedrock.conversations,
                threads=self.bedrock.threads,
            ),
        )

    def _agents(self, store: Store, receipts: Receipts) -> AgentService:
        return open_agents(
            self.core,
            self.identity,
            store,
            agents.Needs(
                bedrock=self.bedrock,
                retriever=self.knowledge.retrieve,
                executors=self.functions.executors,
                interpreter=self.functions.interpreter,
                reader=self.documents,
                receipts=receipts,
                applying=self.guardrails.applying,
                catalogue=self.catalogue,
            ),
        )

    def _gateway(self, store: Store) -> Gateway:
        core, region = self.core, self.core.region
        services = frozenset(self.catalogue.service(name).signing_name for name in EVERY)
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
            tokens=PageTokens(core.keyring),
            threads=self.threads,
            upload_threads=self.upload_threads,
        )
        gateway = Gateway(stages)
        parts = (
            self.identity, self.kms, store, self.learning, self.bedrock, self.guardrails,
            self.agents, self.evidence, self.knowledge, self.runtimes, self.functions,
        )  # fmt: skip
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
        core, host_ = self.core, self.workshop.machine
        return {
            "region": core.region.name,
            "partition": core.region.partition,
            "ceiling": core.settings.ceiling or core.settings.default_label,
            "version": __version__,
            "pid": os.getpid(),
            "uid": own_uid(),
            "own_uid": own_uid() == core.settings.uid,
            "endpoint": self.endpoint,
            "datagrams": self.datagrams.told() if self.datagrams else {},
            "ca_bundle": str(self.certificates.ca) if self.certificates else "",
            "agencies": len(self.identity.agencies.list()),
            "audit_records": core.log.size,
            "operations": len(self.gateway.handlers),
            "break_glass": self.approvals.room.open_glass(),
            "engines": self.bedrock.engines.rows(),
            "invocation_logs": self.bedrock.logs.counts(),
            "missing_layers": [layer.name for layer in self.workshop.missing],
            "layers": [
                {"name": layer.name, "present": layer.present, "why": layer.why}
                for layer in host_.layers
            ],
        }

    async def run(self) -> None:
        """Serve until told to stop, then close everything in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self.workshop.runner.start()
        self.kms.clockwork.start()
        self.learning.settler.start()
        self.learning.checkpoints.start()
        self.knowledge.work.start()
        self.bedrock.imports.work.start()
        self.bedrock.logs.start()
        self.bedrock.provisioned.holding.start()
        if self.datagrams is not None:
            self.datagrams.start()
        self.evidence.start()
        certificates = self.certificates
        server = make_server(
            self.gateway,
            certificate=certificates.certificate if certificates else None,
            key=certificates.key if certificates else None,
        )
        serving = asyncio.create_task(server.serve(sockets=[self.listener]))
        await self.runtimes.start(self.gateway, server)
        control = await self._open_control()
        if self.workshop.missing:
            logger.warning(told(self.workshop.missing))
        logger.info("region %s is ready at %s", self.core.region.name, self.endpoint)
        settle_memory()
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        await self.runtimes.stop()
        server.should_exit = True
        await serving
        await control.cleanup()
        await self.close()

    async def _open_control(self) -> web.AppRunner:
        door = Door(trail=self.core.trail, executor=self.operator_executor)
        region = RegionRoutes(
            status=self.status,
            hosts_lines=lambda: tls.hosts_lines(self.core.region, self.catalogue, "127.0.0.1"),
            stop=self._stopping.set,
            door=door,
        )
        manageable = Manageable(
            core=self.core,
            approvals=self.approvals,
            identity=self.identity,
            store=self.store,
            workshop=self.workshop,
            learning=self.learning,
            bedrock=self.bedrock,
            evidence=self.evidence,
            transfers=self.transfers,
        )
        operators = open_operators(manageable, region, self.connection(), door)
        runner = web.AppRunner(operators.application(), access_log=None)
        await runner.setup()
        socket_ = _door_at(self._site.control_socket(self.core.region.name))
        await web.SockSite(runner, socket_).start()
        return runner

    async def close(self) -> None:
        self.gateway.rejections.close()
        self.bedrock.imports.work.stop()  # a model that is tried does not fail of the end
        await self.bedrock.engines.close()
        await self.bedrock.client.close()
        await self.learning.replicas.close()
        await self.runtimes.replicas.close()
        await asyncio.to_thread(self._close_threads)

    def _close_threads(self) -> None:
        self.knowledge.close()
        self.bedrock.imports.work.close()
        self.bedrock.logs.close()
        self.documents.close()
        self.bedrock.embedder.close()
        if self.datagrams is not None:
            self.datagrams.close()
        self.evidence.delivery.close()
        self.kms.clockwork.close()
        self.learning.settler.close()
        self.learning.checkpoints.close()
        self.workshop.runner.close()
        self.learning.scanner.close()
        self.learning.metric_sink.flush()
        self.operator_executor.shutdown(cancel_futures=True)
        for pool in (self.threads, self.upload_threads, self.bedrock.threads):
            pool.close()
        self.guardrails.worker.close()
        self.functions.close()
        self.core.close()

"""Models and the engines that run them."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET

from bastide.app import imports
from bastide.app.core import Core
from bastide.app.egress import egress_of
from bastide.app.identity import Identity
from bastide.app.imports import Imports, import_shelf, open_imports
from bastide.app.invocation_logs import invocation_logs, logging_of
from bastide.app.provisioned import open_provisioned, parts_mib
from bastide.app.store import Store
from bastide.app.workshop import Workshop
from bastide.audit.receipts import Receipts
from bastide.db import durable
from bastide.db.marks import Marks
from bastide.inference.cache_points import CachePoints
from bastide.inference.chat_completions import ChatCompletions
from bastide.inference.converse import Conversations
from bastide.inference.documents import Documents
from bastide.inference.embedder import Embedder
from bastide.inference.embedding_lists import EmbeddingLists
from bastide.inference.embeddings import Embeddings
from bastide.inference.engine_client import EngineClient
from bastide.inference.engines import Engines
from bastide.inference.invoke_model import ModelInvocations
from bastide.inference.messages import Messages
from bastide.inference.model import EngineTask, RemoteEngine
from bastide.inference.model_lists import ModelLists
from bastide.inference.one_word import OneWord
from bastide.inference.ports import DocumentReader, Guards
from bastide.inference.quotas import Quotas
from bastide.inference.responses import Responses
from bastide.inference.upstream.model import Egress
from bastide.inference.upstream.upstreams import Upstreams
from bastide.inference.vectors import Vectors
from bastide.inference.walls import Walls
from bastide.jobs import folders
from bastide.jobs.worker import Worker
from bastide.models import naming
from bastide.models.aliases import Aliases
from bastide.models.application_profiles import ApplicationProfiles
from bastide.models.catalogue import Models, packaged
from bastide.models.foundation_models import FoundationModels
from bastide.models.imported_models import ImportShelf
from bastide.models.inference_profiles import InferenceProfiles
from bastide.models.invocation_delivery import InvocationLogs
from bastide.models.model import ModelCard
from bastide.models.provisioned import ProvisionedThroughput
from bastide.models.shelf import TOKENIZER, verify
from bastide.models.shelf import Shelf as ModelShelf
from bastide.models.tags import Keeper, Tags
from bastide.settings import EngineUrl, SettingsError
from bastide.wire.pool import Pool

ENGINES_ACCOUNT = "engines"  # no agency: an account has twelve digits
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What Bedrock's models stand on beside the core."""

    identity: Identity
    workshop: Workshop
    receipts: Receipts
    guards: Guards
    documents: DocumentReader
    store: Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Bedrock:
    """`keepers`: of the tags of each kind of resource that has them. `threads`: to be closed."""

    models: Models
    engines: Engines
    client: EngineClient
    keepers: dict[str, Keeper]
    embedder: Embedder
    quotas: Quotas
    conversations: Conversations
    one_word: OneWord
    threads: Pool
    imports: Imports
    logs: InvocationLogs
    provisioned: ProvisionedThroughput
    handlers: dict[str, list[object]]


def open_bedrock(core: Core, needs: Needs) -> Bedrock:
    receipts = needs.receipts
    own = _own_profiles(core, needs.identity)
    keepers: dict[str, Keeper] = {naming.APPLICATION: own}
    egress = egress_of(core)
    shelf = import_shelf(core, needs.identity)
    models = _models(core, own, egress)
    models.leaves = egress.lets
    models.brought.append(shelf.card)
    engines = _engines(core, needs.workshop, egress)
    limits = core.settings.quotas
    quotas = Quotas(clock=core.clock, of_all=limits, of_models=limits.models)
    client = EngineClient(unreachable=engines.unreachable)
    threads = Pool(core.settings.handler_threads, "inference")
    logs = invocation_logs(core, needs.identity, needs.store)
    talk = Conversations(
        models=models,
        engines=engines,
        client=client,
        clock=core.clock,
        ids=core.ids,
        receipts=receipts,
        quotas=quotas,
        guards=needs.guards,
        threads=threads,
        cache_points=CachePoints(core.clock),
        documents=Documents(needs.documents),
        upstreams=Upstreams(egress=egress),
        log=logs,
    )
    embedder = Embedder(launch=lambda card: _embedding_process(needs.workshop, card))
    vectors = Vectors(
        embedder=embedder, clock=core.clock, receipts=receipts, quotas=quotas, threads=threads
    )
    invocations = ModelInvocations(
        talk=talk,
        models=models,
        clock=core.clock,
        receipts=receipts,
        whole=(Embeddings(vectors=vectors),),
        log=logs,
    )
    provisioned = open_provisioned(core, needs.identity, models, engines, keepers)
    brought = _imports(core, needs, (engines, client), (shelf, keepers))
    return Bedrock(
        models=models,
        engines=engines,
        client=client,
        keepers=keepers,
        embedder=embedder,
        quotas=quotas,
        conversations=talk,
        one_word=OneWord(models=models, engines=engines, client=client, quotas=quotas),
        threads=threads,
        imports=brought,
        logs=logs,
        provisioned=provisioned,
        handlers={
            "bedrock": [
                provisioned,
                logging_of(core, needs.identity, logs),
                *brought.handlers,
                FoundationModels(models=models),
                InferenceProfiles(models=models, own=own),
                Tags(keepers=keepers),
            ],
            "bedrock-runtime": [talk, invocations],
            "bedrock-mantle": _in_other_words(talk, models, vectors),
        },
    )


def _in_other_words(talk: Conversations, models: Models, vectors: Vectors) -> list[object]:
    return [
        ChatCompletions(talk=talk, models=models),
        Responses(talk=talk, models=models),
        Messages(talk=talk, models=models),
        EmbeddingLists(vectors=vectors, models=models),
        ModelLists(models=models),
    ]


def _imports(
    core: Core,
    needs: Needs,
    run_by: tuple[Engines, EngineClient],
    kept_by: tuple[ImportShelf, dict[str, Keeper]],
) -> Imports:
    engines, client = run_by
    shelf, keepers = kept_by
    joined = imports.Needs(
        identity=needs.identity,
        store=needs.store,
        workshop=needs.workshop,
        engines=engines,
        client=client,
        shelf=shelf,
        keepers=keepers,
    )
    return open_imports(core, joined)


def _models(core: Core, own: ApplicationProfiles, egress: Egress) -> Models:
    folder = (core.home / "models").resolve()
    durable.folder(folder)
    return Models(
        shelf=ModelShelf(folder=folder, clock=core.clock),
        entries=packaged(),
        aliases=Aliases(core.home / "aliases.json", core.settings.aliases),
        labelling=core.labelling,
        remote_ids=(*core.settings.engines.urls, *egress.upstreams),
        own=own,
    )


def _engines(core: Core, workshop: Workshop, egress: Egress) -> Engines:
    wanted = core.settings.engines
    task = EngineTask(
        memory_budget_mib=wanted.memory_budget_mib,
        reservable_mib=parts_mib(core),
        replicas=wanted.replicas,
        threads=wanted.threads,
        slots=wanted.slots,
        context_tokens=wanted.context_tokens,
        load_timeout_s=wanted.load_timeout_s,
    )
    servers = {model_id: _remote(one) for model_id, one in wanted.urls.items()}
    beyond = {
        model_id: RemoteEngine(url=one.url, model=one.model, ca_file=one.ca_file)
        for model_id, one in egress.upstreams.items()
    }
    return Engines(
        task=task,
        folder=_emptied(core.home / "engines"),
        walls=_walls(workshop),
        clock=core.clock,
        ids=core.ids,
        remote=servers | beyond,
    )


def _own_profiles(core: Core, identity: Identity) -> ApplicationProfiles:
    own = ApplicationProfiles(
        region=core.region,
        database=core.database,
        clock=core.clock,
        ids=core.ids,
        marks=Marks(labelling=identity.labelling, in_use=core.labels),
    )
    kind = f"bedrock:{naming.APPLICATION}"
    identity.resources.tagged[kind] = lambda who, arn, _: own.tags(who, arn)
    identity.resources.labelled[kind] = lambda who, arn, _: own.label(who, arn)
    return own


def _embedding_process(workshop: Workshop, card: ModelCard) -> Worker:
    """Raises NotAdmitted where its files are no longer what was admitted."""
    verify(card)
    assert card.path is not None, "a remote model makes no vectors here"
    model, tokenizer = str(card.path), str(card.path.with_name(TOKENIZER))
    return Worker(
        walls=workshop.cage_for("embedder"),
        module="bastide.inference.embedding_worker",
        settings={"model": model, "tokenizer": tokenizer, "tokens_max": card.context_tokens},
        reads=[model, tokenizer],
    )


def _remote(one: EngineUrl) -> RemoteEngine:
    """What is wrong with its files is said at the start, not to the first caller."""
    try:
        key = Path(one.key_file).read_text().strip() if one.key_file else ""
        if one.ca_file:
            ssl.create_default_context(cafile=one.ca_file)
    except OSError as error:  # an SSLError is one
        raise SettingsError(f"The engine at {one.url}: {error}") from error
    return RemoteEngine(
        url=one.url,
        model=one.model,
        key=key,
        ca_file=one.ca_file,
        further_urls=() if one.further_urls is UNSET else tuple(one.further_urls),
        tokens_at_once=None if one.tokens_at_once is UNSET else one.tokens_at_once,
    )


def _walls(workshop: Workshop) -> Walls:
    """An engine is our own program, so one without walls is told of, not refused."""
    machine = workshop.machine
    if not any(layer.name == "namespaces" and layer.present for layer in machine.layers):
        logger.warning("engines run without walls: this machine has no namespaces")
        return Walls()
    uid = workshop.uid_of(ENGINES_ACCOUNT)
    return Walls(bwrap=machine.bwrap, seccomp=machine.seccomp, uid=uid)


def _emptied(folder: Path) -> Path:
    """A killed region leaves the sockets of its engines, which ended with it."""
    folders.remove(folder)
    durable.folder(folder)
    return folder

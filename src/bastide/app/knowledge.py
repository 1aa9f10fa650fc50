"""Knowledge bases, joined to the store, to roles and to the models that embed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.store import Store
from bastide.app.workshop import Workshop
from bastide.db.marks import Marks
from bastide.inference.embedder import Embedder
from bastide.inference.quotas import Quotas
from bastide.jobs.worker import Worker
from bastide.kernel.call import Call, Principal
from bastide.kernel.errors import ServiceError, Unavailable, invalid, unsupported
from bastide.kernel.regions import Region
from bastide.knowledge import caged_reader
from bastide.knowledge.caged_reader import CagedReader
from bastide.knowledge.data_sources import DataSources
from bastide.knowledge.documents import KnowledgeBaseDocuments
from bastide.knowledge.fetching import Bucket
from bastide.knowledge.handed import Handed
from bastide.knowledge.index.index import Index
from bastide.knowledge.indexing import Indexing
from bastide.knowledge.ingestion_jobs import IngestionJobs
from bastide.knowledge.knowledge_bases import KnowledgeBases
from bastide.knowledge.ports import Conversations, Threads
from bastide.knowledge.preparing import Preparer
from bastide.knowledge.reranking import Rerank
from bastide.knowledge.retrieve import Retrieve
from bastide.knowledge.retrieve_and_generate import RetrieveAndGenerate
from bastide.knowledge.search import Search
from bastide.knowledge.sessions import Sessions
from bastide.knowledge.shelf import Shelf
from bastide.knowledge.sync import Sync
from bastide.knowledge.tasks import Tasks
from bastide.knowledge.work import Work
from bastide.models import naming
from bastide.models.catalogue import Models
from bastide.models.model import ModelCard, ModelKind
from bastide.training.ports import Permits

if TYPE_CHECKING:
    from bastide.knowledge.ports import Vectors

INVOKE_MODEL = "bedrock:InvokeModel"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEmbedder:
    """`knowledge.ports.Embedder`: models by their ARNs, as who asks sees them. What is read of a
    text is known afterwards: so one that has begun is read, and the next waits for it."""

    region: Region
    models: Models
    embedder: Embedder
    permits: Permits
    quotas: Quotas

    def check(self, call: Call, model_arn: str, dimensions: int | None) -> None:
        card = self.models.called(call, model_arn)
        if card.kind is not ModelKind.EMBEDDING:
            raise invalid(f"The model {card.model_id} makes no embeddings.")
        if dimensions not in (None, card.dimensions):
            raise unsupported(call.operation, f"dimensions other than {card.dimensions}")

    def allow(self, who: Principal, model_arn: str) -> None:
        profile, models = self.models.arns(self.region, who, model_arn)
        for arn in (profile, *models):
            if arn and not self.permits.permits(who, INVOKE_MODEL, arn, {}):
                raise ServiceError(
                    "AccessDeniedException",
                    f"{who.issuer_arn} is not authorized to perform: {INVOKE_MODEL} on resource: "
                    f"{arn}",
                    status=403,
                )

    def begin(self, who: Principal, model_arn: str) -> None:
        self.quotas.begin(who, self._card(who, model_arn))

    def embed(
        self, who: Principal, model_arn: str, dimensions: int | None, texts: Sequence[str]
    ) -> "Vectors":
        card = self._card(who, model_arn)
        try:
            found = self.embedder.embedded(who, card, texts)
        except ServiceError as error:  # others are before us, or its process ended: a job waits
            raise Unavailable(error.message) from error
        self.quotas.charge(who, card, sum(found.tokens))
        return found.unit

    def _card(self, who: Principal, model_arn: str) -> ModelCard:
        name = naming.bare(model_arn, self.region, who.account)
        card = self.models.resolve(name, who.session, who.account) if name is not None else None
        if card is None:
            raise invalid(f"The embedding model {model_arn} is not there any more.")
        return card


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What knowledge bases stand on beside the core."""

    identity: Identity
    store: Store
    workshop: Workshop
    models: Models
    embedder: Embedder
    quotas: Quotas
    conversations: Conversations
    threads: Threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    work: Work
    parser: Worker
    index: Index
    retrieve: Retrieve  # agents ask it too
    handlers: dict[str, list[object]]

    def close(self) -> None:
        self.work.close()
        self.parser.close()
        self.index.close()


def open_knowledge(core: Core, needs: Needs) -> Knowledge:
    identity, parse = needs.identity, core.labelling.scheme.parse
    index = Index(core.home / "knowledge.db", keyring=core.keyring, parse=parse)
    embedder = _embedder(core.region, needs)
    marks = Marks(labelling=identity.labelling, in_use=core.labels)
    shelf = Shelf(database=core.database, clock=core.clock, ids=core.ids, marks=marks)
    parser = Worker(
        walls=needs.workshop.cage_for("parser"),
        module=caged_reader.MODULE,
        memory_bytes=caged_reader.MEMORY_BYTES,
    )
    bucket = Bucket(region=core.region, permits=identity.authorizer, objects=needs.store.space)
    scheme = core.labelling.scheme
    preparer = Preparer(
        reader=CagedReader(worker=parser),
        embedder=embedder,
        scheme=scheme,
        portions_are_apart=core.rules.knowledge is not None,
    )
    indexing = Indexing(index=index, preparer=preparer)
    sync = Sync(
        database=core.database,
        clock=core.clock,
        labels=core.labels,
        roles=identity.roles,
        bucket=bucket,
        indexing=indexing,
    )
    handed = Handed(
        database=core.database,
        clock=core.clock,
        scheme=scheme,
        sealer=core.keyring,
        roles=identity.roles,
        bucket=bucket,
        indexing=indexing,
    )
    work = Work()
    work.wanted = Tasks(database=core.database, index=index, sync=sync, handed=handed).wanted
    search = Search(shelf=shelf, index=index, embedder=embedder, roles=identity.roles)
    identity.resources.labelled["bedrock:knowledge-base"] = shelf.label
    retrieve = Retrieve(search=search)
    return Knowledge(
        work=work,
        parser=parser,
        index=index,
        retrieve=retrieve,
        handlers={
            "bedrock-agent": [
                KnowledgeBases(shelf=shelf, roles=identity.roles, embedder=embedder, work=work),
                DataSources(shelf=shelf, work=work),
                KnowledgeBaseDocuments(
                    shelf=shelf, roles=identity.roles, sealer=core.keyring, work=work
                ),
                IngestionJobs(shelf=shelf, roles=identity.roles, work=work),
            ],
            "bedrock-agent-runtime": [
                retrieve,
                Rerank(embedder=embedder),
                RetrieveAndGenerate(
                    search=search,
                    sessions=Sessions(shelf=shelf, sealer=core.keyring),
                    conversations=needs.conversations,
                    threads=needs.threads,
                ),
            ],
        },
    )


def _embedder(region: Region, needs: Needs) -> ModelEmbedder:
    return ModelEmbedder(
        region=region,
        models=needs.models,
        embedder=needs.embedder,
        permits=needs.identity.authorizer,
        quotas=needs.quotas,
    )

"""Knowledge bases on fakes: a store in memory, an index in memory, words as vectors."""

from dataclasses import dataclass, field, replace

from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import SeededIds
from bastide.knowledge.data_sources import DataSources
from bastide.knowledge.documents import KnowledgeBaseDocuments
from bastide.knowledge.fake import FakeEmbedder, FakeIndex
from bastide.knowledge.fetching import Bucket
from bastide.knowledge.handed import Handed
from bastide.knowledge.indexing import Indexing
from bastide.knowledge.ingestion_jobs import IngestionJobs
from bastide.knowledge.knowledge_bases import KnowledgeBases
from bastide.knowledge.parsing import text_of
from bastide.knowledge.preparing import Preparer
from bastide.knowledge.retrieve import Retrieve
from bastide.knowledge.search import Search
from bastide.knowledge.shelf import Shelf
from bastide.knowledge.sync import Sync
from bastide.knowledge.tasks import Tasks
from bastide.knowledge.work import Work
from tests.knowledge_kit import base_request, bucket_source
from tests.labels_kit import US, in_use, marks
from tests.sagefakes import ONE, REGION, ROLE, FakeObjects, FakePermits, FakeRoles, Stored, call


class PlainReader:
    """Without a cage."""

    def read(self, content, name, media_type, *, whose):
        return text_of(content, name, media_type)


class PlainSealer:
    """It tells one purpose and place from another, and hides nothing."""

    def seal(self, purpose, plain, aad=b""):
        return purpose.encode() + b"\0" + aad + b"\0\0" + plain

    def open(self, purpose, sealed, aad=b""):
        head = purpose.encode() + b"\0" + aad + b"\0\0"
        assert sealed.startswith(head)
        return sealed.removeprefix(head)


@dataclass
class LabelledObjects(FakeObjects):
    """Each object has a label, U where none is said; what is above a session is not there."""

    labels: dict = field(default_factory=dict)  # key → marking

    def _seen(self, who, key):
        return who.session.dominates(self._label(key))

    def _label(self, key):
        return US.parse(self.labels.get(key, "U"))

    def open(self, who, bucket, key):
        if not self._seen(who, key):
            raise ServiceError("NoSuchKey", "The specified key does not exist.")
        found, chunks = super().open(who, bucket, key)
        return replace(found, label=self._label(key)), chunks

    def listing(self, who, bucket, prefix):
        for found in super().listing(who, bucket, prefix):
            if self._seen(who, found.key):
                yield Stored(found.key, found.size, self._label(found.key))


@dataclass
class FlakyIndex(FakeIndex):
    """Its `dies_in`th write from now is not done, and tells so."""

    dies_in: int = 0

    def put(self, kb, chunks):
        self.dies_in -= 1
        if self.dies_in == 0:
            raise Unavailable("the disk")
        super().put(kb, chunks)


@dataclass
class FaultyEmbedder(FakeEmbedder):
    fault: Exception | None = None
    tries: int = 0
    refused: bool = False  # whether policies let nobody call the model
    left: int | None = None  # requests that the quota has, if there is one
    gone: bool = False  # whether the model is not there any more
    by: list = field(default_factory=list)  # who asked

    def allow(self, who, model_arn):
        if self.refused:
            raise ServiceError("AccessDeniedException", f"{who.arn}: bedrock:InvokeModel")

    def begin(self, who, model_arn):
        if self.gone:
            raise ServiceError("ValidationException", "The model is not there any more.")
        if self.left == 0:
            raise ServiceError("ThrottlingException", "Too many tokens.", retry_after_s=7.0)
        self.left = None if self.left is None else self.left - 1

    def embed(self, who, model_arn, dimensions, texts):
        self.tries += 1
        self.by.append(who)
        if self.fault is not None:
            raise self.fault
        return super().embed(who, model_arn, dimensions, texts)


class World:
    """All that there is; `at(marking)` is a caller at that label."""

    def __init__(self, database, *, portions_are_apart=False):
        self.database = database
        self.clock = ManualClock()
        labels = in_use(database)
        self.roles, self.permits, self.objects = FakeRoles(), FakePermits(), LabelledObjects()
        self.index, self.embedder, self.sealer = FlakyIndex(), FaultyEmbedder(), PlainSealer()
        self.shelf = Shelf(
            database=database, clock=self.clock, ids=SeededIds(), marks=marks(database, labels)
        )
        bucket = Bucket(region=REGION, permits=self.permits, objects=self.objects)
        self.preparer = Preparer(
            reader=PlainReader(),
            embedder=self.embedder,
            scheme=US,
            portions_are_apart=portions_are_apart,
        )
        indexing = Indexing(index=self.index, preparer=self.preparer)
        self.sync = Sync(
            database=database,
            clock=self.clock,
            labels=labels,
            roles=self.roles,
            bucket=bucket,
            indexing=indexing,
        )
        handed = Handed(
            database=database,
            clock=self.clock,
            scheme=US,
            sealer=self.sealer,
            roles=self.roles,
            bucket=bucket,
            indexing=indexing,
        )
        self.tasks = Tasks(database=database, index=self.index, sync=self.sync, handed=handed)
        self.work = Work()
        self.work.wanted = self.tasks.wanted
        self.bases = KnowledgeBases(
            shelf=self.shelf, roles=self.roles, embedder=self.embedder, work=self.work
        )
        self.sources = DataSources(shelf=self.shelf, work=self.work)
        self.jobs = IngestionJobs(shelf=self.shelf, roles=self.roles, work=self.work)
        self.documents = KnowledgeBaseDocuments(
            shelf=self.shelf, roles=self.roles, sealer=self.sealer, work=self.work
        )
        self.search = Search(
            shelf=self.shelf, index=self.index, embedder=self.embedder, roles=self.roles
        )
        self.retrieve = Retrieve(search=self.search)

    def put(self, key, text, label="U"):
        self.objects.held[ONE, "papers", key] = text.encode() if isinstance(text, str) else text
        self.objects.labels[key] = label

    def gone(self, key):
        del self.objects.held[ONE, "papers", key]

    def start(self, marking="U"):
        ids = {"knowledgeBaseId": self.base, "dataSourceId": self.source}
        caller = call("bedrock-agent.StartIngestionJob", marking=marking)
        return self.jobs.start_ingestion_job(caller, ids)["ingestionJob"]["ingestionJobId"]

    def job(self, id_, marking="U"):
        ids = {"knowledgeBaseId": self.base, "dataSourceId": self.source, "ingestionJobId": id_}
        caller = call("bedrock-agent.GetIngestionJob", marking=marking)
        return self.jobs.get_ingestion_job(caller, ids)["ingestionJob"]

    def synced(self, marking="U"):
        """One job to its end: what it counted, by the last words of AWS's names."""
        id_ = self.start(marking)
        self.work.settle()
        return self.job(id_, marking)

    def found(self, text, marking="U", **search):
        caller = call("bedrock-agent-runtime.Retrieve", marking=marking)
        asked = {
            "knowledgeBaseId": self.base,
            "retrievalQuery": {"text": text},
            "retrievalConfiguration": {"vectorSearchConfiguration": search},
        }
        return self.retrieve.retrieve(caller, asked)["retrievalResults"]

    def texts(self, text, marking="U", **search):
        return [each["content"]["text"] for each in self.found(text, marking, **search)]

    def make(self, **source):
        agent = call("bedrock-agent.CreateKnowledgeBase")
        made = self.bases.create_knowledge_base(agent, base_request(ROLE))
        self.base = made["knowledgeBase"]["knowledgeBaseId"]
        wanted = bucket_source(self.base, "papers", **source)
        made = self.sources.create_data_source(call("bedrock-agent.CreateDataSource"), wanted)
        self.source = made["dataSource"]["dataSourceId"]
        return self

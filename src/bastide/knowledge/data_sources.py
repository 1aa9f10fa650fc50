"""bedrock-agent: where a knowledge base's documents come from: a bucket, or whoever hands them in.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_CreateDataSource.html
"""

from dataclasses import dataclass, replace

from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, invalid, unsupported
from bastide.kernel.operation import operation
from bastide.knowledge import records
from bastide.knowledge.chunking import check_chunking
from bastide.knowledge.model import BaseRow, Params, Source, SourceStatus
from bastide.knowledge.shelf import Shelf, page
from bastide.knowledge.work import Work

SOURCES_MAX = 5  # of a knowledge base: AWS's quota
_S3 = "dataSourceConfiguration.s3Configuration"
_HONOURED = (
    "knowledgeBaseId",
    "name",
    "description",
    "dataDeletionPolicy",
    "dataSourceConfiguration.type",
    f"{_S3}.bucketArn",
    f"{_S3}.inclusionPrefixes",
    f"{_S3}.bucketOwnerAccountId",
    "vectorIngestionConfiguration.chunkingConfiguration",
)
_TOKEN = {"clientToken": "a name is taken once, so that a second try is told as a conflict"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSources:
    shelf: Shelf
    work: Work

    @operation(*_HONOURED, accepted=_TOKEN)
    def create_data_source(self, call: Call, req: Params) -> Params:
        shelf = self.shelf
        base = shelf.working(call, req["knowledgeBaseId"])
        shelf.marks.check_own(call, base.label)
        _check(call, req)
        view, now_ms = shelf.view(call), shelf.now_ms()
        kept = {n: v for n, v in req.items() if n not in ("clientToken", "knowledgeBaseId")}
        new = Source(
            account=call.account,
            base=base.id,
            id=shelf.ids.word(10),
            name=req["name"],
            label=base.label,
            status=SourceStatus.AVAILABLE,
            created_ms=now_ms,
            updated_ms=now_ms,
            request=kept,
        )
        listed = shelf.database.read(lambda c: records.list_sources(c, base, view, "", SOURCES_MAX))
        if len(listed) >= SOURCES_MAX:
            raise ServiceError(
                "ServiceQuotaExceededException", f"A knowledge base has {SOURCES_MAX} sources."
            )
        if not shelf.database.write(lambda c: records.add_source(c, new, view)):
            raise ServiceError(
                "ConflictException", f"A data source with the name {new.name} already exists."
            )
        return {"dataSource": _shown(new)}

    @operation("knowledgeBaseId", "dataSourceId")
    def get_data_source(self, call: Call, req: Params) -> Params:
        base = self.shelf.base(call, req["knowledgeBaseId"])
        source = self.shelf.source(call, base, req["dataSourceId"])
        call.notes.label = source.label
        return {"dataSource": _shown(source)}

    @operation("knowledgeBaseId", "maxResults", "nextToken")
    def list_data_sources(self, call: Call, req: Params) -> Params:
        base = self.shelf.base(call, req["knowledgeBaseId"])
        view, database = self.shelf.view(call), self.shelf.database
        rows, more = page(
            req,
            lambda after, limit: database.read(
                lambda c: records.list_sources(c, base, view, after, limit)
            ),
            lambda source: source.id,
        )
        return {"dataSourceSummaries": [_summary(source) for source in rows], **more}

    @operation("dataSourceId", *_HONOURED)
    def update_data_source(self, call: Call, req: Params) -> Params:
        """How its documents are split stays as it was made, as at AWS."""
        _, source = self._own(call, req)
        _check(call, req)
        ingestion = "vectorIngestionConfiguration"
        if ingestion in req and req[ingestion] != source.request.get(ingestion):
            raise invalid(f"The {ingestion} of a data source cannot be changed.")
        if req["dataSourceConfiguration"]["type"] != source.kind:
            raise invalid("The type of a data source cannot be changed.")
        ids = ("knowledgeBaseId", "dataSourceId")
        kept = {**source.request, **{n: v for n, v in req.items() if n not in ids}}
        now_ms = self.shelf.now_ms()
        changed = replace(source, name=req["name"], request=kept, updated_ms=now_ms)
        self.shelf.database.write(lambda c: records.save_source(c, changed))
        return {"dataSource": _shown(changed)}

    @operation("knowledgeBaseId", "dataSourceId")
    def delete_data_source(self, call: Call, req: Params) -> Params:
        base, source = self._own(call, req)
        gone = replace(source, status=SourceStatus.DELETING, updated_ms=self.shelf.now_ms())
        self.shelf.database.write(lambda c: records.save_source(c, gone))
        self.work.poke()
        return {
            "knowledgeBaseId": base.id,
            "dataSourceId": source.id,
            "status": str(gone.status),
        }

    def _own(self, call: Call, req: Params) -> tuple[BaseRow, Source]:
        """That the session may change."""
        base = self.shelf.working(call, req["knowledgeBaseId"])
        source = self.shelf.working_source(call, base, req["dataSourceId"])
        self.shelf.marks.check_own(call, source.label)
        return base, source


def _check(call: Call, req: Params) -> None:
    wanted = req["dataSourceConfiguration"]
    kind = wanted["type"]
    if kind not in ("S3", "CUSTOM"):
        raise unsupported(call.operation, f"dataSourceConfiguration.type={kind}")
    bucket = wanted.get("s3Configuration")
    if bucket and not bucket["bucketArn"].startswith(arns.s3(call.region, "")):
        raise invalid("bucketArn must be of the region's own partition.")
    if (kind == "S3") != bool(bucket):
        raise invalid("s3Configuration goes with the type S3, and is needed for it.")
    if bucket and bucket.get("bucketOwnerAccountId", call.account) != call.account:
        raise unsupported(call.operation, "A bucket of another account")
    if req.get("dataDeletionPolicy") == "RETAIN":
        raise unsupported(call.operation, "dataDeletionPolicy=RETAIN")
    ingestion = req.get("vectorIngestionConfiguration") or {}
    check_chunking(ingestion.get("chunkingConfiguration") or {})


def _shown(source: Source) -> Params:
    told = ("description", "dataSourceConfiguration", "vectorIngestionConfiguration")
    return {
        "knowledgeBaseId": source.base,
        "dataSourceId": source.id,
        "name": source.name,
        "status": str(source.status),
        **{member: source.request[member] for member in told if member in source.request},
        "dataDeletionPolicy": "DELETE",
        "createdAt": moment(source.created_ms),
        "updatedAt": moment(source.updated_ms),
    }


def _summary(source: Source) -> Params:
    told = _shown(source)
    members = (
        "knowledgeBaseId", "dataSourceId", "name", "status", "description", "updatedAt"
    )  # fmt: skip
    return {member: told[member] for member in members if member in told}

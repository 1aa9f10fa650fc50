"""bedrock-agent: knowledge bases.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_CreateKnowledgeBase.html
"""

from dataclasses import dataclass, replace

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, invalid, unsupported
from bastide.kernel.operation import operation
from bastide.knowledge import records
from bastide.knowledge.model import SERVICE, BaseRow, BaseStatus, Params
from bastide.knowledge.ports import Embedder, Roles
from bastide.knowledge.shelf import Shelf, arn_of, page
from bastide.knowledge.work import Work

BASES_MAX = 100  # of an agency at the labels that a session sees; AWS's quota is 100 too
OWN_STORE = "S3_VECTORS"
_VECTOR = "knowledgeBaseConfiguration.vectorKnowledgeBaseConfiguration"
_FLOATS = "embeddingModelConfiguration.bedrockEmbeddingModelConfiguration"
_HONOURED = (
    "name",
    "description",
    "roleArn",
    "knowledgeBaseConfiguration.type",
    f"{_VECTOR}.embeddingModelArn",
    f"{_VECTOR}.{_FLOATS}.dimensions",
    f"{_VECTOR}.{_FLOATS}.embeddingDataType",
    "storageConfiguration.type",
    "storageConfiguration.s3VectorsConfiguration.indexName",
)
_TOKEN = {"clientToken": "a name is taken once, so that a second try is told as a conflict"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeBases:
    shelf: Shelf
    roles: Roles
    embedder: Embedder
    work: Work

    @operation(*_HONOURED, accepted=_TOKEN)
    def create_knowledge_base(self, call: Call, req: Params) -> Params:
        _check(call, req)
        shelf, now_ms = self.shelf, self.shelf.now_ms()
        id_ = shelf.ids.word(10)
        new = BaseRow(
            account=call.account,
            id=id_,
            name=req["name"],
            label=shelf.marks.of_new(call, {}, "A knowledge base"),
            arn=arn_of(call, id_),
            status=BaseStatus.ACTIVE,
            created_ms=now_ms,
            updated_ms=now_ms,
            request={name: value for name, value in req.items() if name != "clientToken"},
        )
        self._check_use(call, new)
        view = shelf.view(call)
        if shelf.database.read(lambda c: records.count_bases(c, call.account, view)) >= BASES_MAX:
            raise ServiceError(
                "ServiceQuotaExceededException", f"An account has {BASES_MAX} knowledge bases."
            )
        if not shelf.database.write(lambda c: records.add_base(c, new, view)):
            raise _conflict(f"A knowledge base with the name {new.name} already exists.")
        return {"knowledgeBase": _shown(new)}

    @operation("knowledgeBaseId")
    def get_knowledge_base(self, call: Call, req: Params) -> Params:
        base = self.shelf.base(call, req["knowledgeBaseId"])
        call.notes.label = base.label
        return {"knowledgeBase": _shown(base)}

    @operation("maxResults", "nextToken")
    def list_knowledge_bases(self, call: Call, req: Params) -> Params:
        view, database = self.shelf.view(call), self.shelf.database
        rows, more = page(
            req,
            lambda after, limit: database.read(
                lambda c: records.list_bases(c, call.account, view, after, limit)
            ),
            lambda base: base.id,
        )
        return {"knowledgeBaseSummaries": [_summary(base) for base in rows], **more}

    @operation("knowledgeBaseId", *_HONOURED)
    def update_knowledge_base(self, call: Call, req: Params) -> Params:
        """Its name, description and role; its model and store are as they were made."""
        base = self.shelf.working(call, req["knowledgeBaseId"])
        self.shelf.marks.check_own(call, base.label)
        _check(call, req)
        for member in ("knowledgeBaseConfiguration", "storageConfiguration"):
            if member in req and req[member] != base.request.get(member):
                raise invalid(f"The {member} of a knowledge base cannot be changed.")
        request = {**base.request, **{n: v for n, v in req.items() if n != "knowledgeBaseId"}}
        changed = replace(base, name=req["name"], request=request, updated_ms=self.shelf.now_ms())
        self._check_use(call, changed)
        self.shelf.database.write(lambda c: records.save_base(c, changed))
        return {"knowledgeBase": _shown(changed)}

    @operation("knowledgeBaseId")
    def delete_knowledge_base(self, call: Call, req: Params) -> Params:
        """Its passages go first, so that none is ever without what it belongs to."""
        base = self.shelf.working(call, req["knowledgeBaseId"])
        self.shelf.marks.check_own(call, base.label)
        gone = replace(base, status=BaseStatus.DELETING, updated_ms=self.shelf.now_ms())
        self.shelf.database.write(lambda c: records.save_base(c, gone))
        self.work.poke()
        return {"knowledgeBaseId": base.id, "status": str(gone.status)}

    def _check_use(self, call: Call, base: BaseRow) -> None:
        """The role may be passed, and lets the service in; the model embeds, and may be called by
        the role."""
        self.roles.check_pass(call, base.role_arn, SERVICE, base.arn)
        who = self.roles.assume_for_service(call.account, base.role_arn, SERVICE, base.label)
        self.embedder.check(call, *base.model)
        self.embedder.allow(who, base.model[0])


def _check(call: Call, req: Params) -> None:
    """What is ours: vectors, in the region's own index."""
    wanted = req["knowledgeBaseConfiguration"]
    if wanted["type"] != "VECTOR":
        raise unsupported(call.operation, f"knowledgeBaseConfiguration.type={wanted['type']}")
    vector = wanted.get("vectorKnowledgeBaseConfiguration")
    if not vector:
        raise invalid("vectorKnowledgeBaseConfiguration must be given for the type VECTOR.")
    asked = vector.get("embeddingModelConfiguration") or {}
    kind = (asked.get("bedrockEmbeddingModelConfiguration") or {}).get("embeddingDataType")
    if kind not in (None, "FLOAT32"):
        raise unsupported(call.operation, f"embeddingDataType={kind}")
    store = req.get("storageConfiguration")
    if store and store["type"] != OWN_STORE:
        raise unsupported(call.operation, f"storageConfiguration.type={store['type']}")


def _shown(base: BaseRow) -> Params:
    request = base.request
    told = ("description", "roleArn", "knowledgeBaseConfiguration", "storageConfiguration")
    return {
        "knowledgeBaseId": base.id,
        "name": base.name,
        "knowledgeBaseArn": base.arn,
        **{member: request[member] for member in told if member in request},
        "status": str(base.status),
        "createdAt": moment(base.created_ms),
        "updatedAt": moment(base.updated_ms),
    }


def _summary(base: BaseRow) -> Params:
    told = _shown(base)
    members = ("knowledgeBaseId", "name", "description", "status", "updatedAt")
    return {member: told[member] for member in members if member in told}


def _conflict(message: str) -> ServiceError:
    return ServiceError("ConflictException", message)

"""bedrock-agent: documents that are handed in, listed and taken out one by one.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_IngestKnowledgeBaseDocuments.html

What is handed in has the label of the session that does it; so has what it may take out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.operation import operation
from bastide.knowledge import records
from bastide.knowledge.attributes import of_inline
from bastide.knowledge.fetching import DOCUMENTS_MAX
from bastide.knowledge.handed import HandedIn, sealed
from bastide.knowledge.model import SERVICE, BaseRow, Document, DocumentStatus, Params, Source
from bastide.knowledge.ports import Roles, Sealer
from bastide.knowledge.preparing import key_of
from bastide.knowledge.reading import Unreadable
from bastide.knowledge.shelf import PAGE_DEFAULT, Shelf
from bastide.knowledge.work import Work
from bastide.logs import tokens

WAITING_MAX = 200  # of an agency at one label: their contents are kept until they are read
_CONTENT = "documents.content"
_TOKEN = {"clientToken": "handed in twice, a document is there once"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeBaseDocuments:
    shelf: Shelf
    roles: Roles
    sealer: Sealer
    work: Work

    @operation(
        "knowledgeBaseId",
        "dataSourceId",
        "documents.metadata.type",
        "documents.metadata.inlineAttributes",
        "documents.metadata.s3Location",
        f"{_CONTENT}.dataSourceType",
        f"{_CONTENT}.custom",
        f"{_CONTENT}.s3",
        accepted=_TOKEN,
    )
    def ingest_knowledge_base_documents(self, call: Call, req: Params) -> Params:
        base, source = self._place(call, req)
        label = self.shelf.marks.own(call.principal)
        self.roles.assume_for_service(call.account, base.role_arn, SERVICE, label)
        waiting = self.shelf.database.read(lambda c: records.count_waiting(c, call.account, label))
        if waiting + len(req["documents"]) > WAITING_MAX:
            raise ServiceError(
                "ThrottlingException", f"{waiting} documents wait already to be read."
            )
        self._check_room(call, base, label, len(req["documents"]))
        taken = [self._taken(call, source, label, each) for each in req["documents"]]
        if len({document.uri for document, _ in taken}) < len(taken):
            raise invalid("A document is named twice.")

        def write(c: Any) -> None:
            for document, given in taken:
                blob = sealed(self.sealer, document, given)
                records.put_document(c, key_of(document.uri), document, blob)

        self.shelf.database.write(write)
        self.work.poke()
        return {"documentDetails": [_shown(document) for document, _ in taken]}

    @operation("knowledgeBaseId", "dataSourceId", "documentIdentifiers")
    def get_knowledge_base_documents(self, call: Call, req: Params) -> Params:
        _, source = self._place(call, req)
        found = [self._found(call, source, each) for each in req["documentIdentifiers"]]
        return {"documentDetails": [_shown(each) for each in found]}

    @operation("knowledgeBaseId", "dataSourceId", "maxResults", "nextToken")
    def list_knowledge_base_documents(self, call: Call, req: Params) -> Params:
        _, source = self._place(call, req)
        view, limit = self.shelf.view(call), req.get("maxResults") or PAGE_DEFAULT
        begun = tokens.load(req.get("nextToken"), str, str, code="ValidationException")
        after = (begun[0], begun[1]) if begun else ("", "")
        rows = self.shelf.database.read(
            lambda c: records.list_documents(c, source, view, after, limit + 1)
        )
        answer: Params = {"documentDetails": [_shown(each) for each in rows[:limit]]}
        if len(rows) > limit:
            last = rows[limit - 1]
            answer["nextToken"] = tokens.dump(key_of(last.uri), last.label)
        return answer

    @operation("knowledgeBaseId", "dataSourceId", "documentIdentifiers", accepted=_TOKEN)
    def delete_knowledge_base_documents(self, call: Call, req: Params) -> Params:
        _, source = self._place(call, req)
        now_ms, answer = self.shelf.now_ms(), []
        for each in req["documentIdentifiers"]:
            found = self._found(call, source, each)
            if found.status is not DocumentStatus.NOT_FOUND:
                self.shelf.marks.check_own(call, found.label)
                found = replace(found, status=DocumentStatus.DELETING, updated_ms=now_ms)
            answer.append(found)

        def write(c: Any) -> None:
            for document in answer:
                if document.status is DocumentStatus.DELETING:
                    records.put_document(c, key_of(document.uri), document)

        self.shelf.database.write(write)
        self.work.poke()
        return {"documentDetails": [_shown(document) for document in answer]}

    def _place(self, call: Call, req: Params) -> tuple[BaseRow, Source]:
        base = self.shelf.working(call, req["knowledgeBaseId"])
        return base, self.shelf.working_source(call, base, req["dataSourceId"])

    def _check_room(self, call: Call, base: BaseRow, label: str, more: int) -> None:
        """At one label: how much there is above is told to nobody below."""
        held = self.shelf.database.read(
            lambda c: records.count_documents(c, call.account, base.id, label)
        )
        if held + more > DOCUMENTS_MAX:
            raise ServiceError(
                "ServiceQuotaExceededException",
                f"A knowledge base has {DOCUMENTS_MAX} documents at {label}.",
            )

    def _taken(
        self, call: Call, source: Source, label: str, given: Params
    ) -> tuple[Document, HandedIn]:
        content, metadata = given["content"], given.get("metadata") or {}
        uri = _named(source, content)
        document = self._document(call, source, uri, label, DocumentStatus.PENDING)
        said = metadata.get("s3Location") or {}
        if (metadata.get("type") == "S3_LOCATION") != bool(said):
            raise invalid("metadata.s3Location goes with the type S3_LOCATION, and is needed.")
        try:
            attributes = of_inline(metadata.get("inlineAttributes") or [])
        except Unreadable as error:
            raise invalid(error.reason) from error
        handed = HandedIn(
            **_content(source, content),
            attributes=dict(attributes.values),
            attributes_at=_own_uri(call, said),
        )
        for location in (content.get("custom") or {}).get("s3Location"), said:
            _own_uri(call, location or {})
        return document, handed

    def _found(self, call: Call, source: Source, named: Params) -> Document:
        """Of several, that of the session's own label, else the newest."""
        uri, view = _identified(source, named), self.shelf.view(call)
        rows = self.shelf.database.read(
            lambda c: records.find_documents(c, source, key_of(uri), view)
        )
        rows.sort(key=lambda each: (each.label == view.own, each.updated_ms, each.label))
        if rows:
            return rows[-1]
        return self._document(call, source, uri, view.own, DocumentStatus.NOT_FOUND)

    def _document(
        self, call: Call, source: Source, uri: str, label: str, status: DocumentStatus
    ) -> Document:
        return Document(
            account=call.account,
            base=source.base,
            source=source.id,
            uri=uri,
            label=label,
            kind=source.kind,
            status=status,
            updated_ms=self.shelf.now_ms(),
        )


def _named(source: Source, content: Params) -> str:
    """What a document is called, of a content that fits its source."""
    if content["dataSourceType"] != source.kind:
        raise invalid(f"The data source is of the type {source.kind}.")
    if source.kind == "S3":
        if not content.get("s3"):
            raise invalid("content.s3 must be given for the type S3.")
        return _in_bucket(source, content["s3"]["s3Location"]["uri"])
    if not content.get("custom"):
        raise invalid("content.custom must be given for the type CUSTOM.")
    return str(content["custom"]["customDocumentIdentifier"]["id"])


def _identified(source: Source, named: Params) -> str:
    member = named.get("s3" if source.kind == "S3" else "custom")
    if named["dataSourceType"] != source.kind or not member:
        raise invalid(f"The data source is of the type {source.kind}.")
    return str(member["uri"] if source.kind == "S3" else member["id"])


def _in_bucket(source: Source, uri: str) -> str:
    wanted = source.request["dataSourceConfiguration"]["s3Configuration"]
    bucket = wanted["bucketArn"].rpartition(":")[2]
    prefixes: Sequence[str] = wanted.get("inclusionPrefixes") or ("",)
    if not any(uri.startswith(f"s3://{bucket}/{prefix}") for prefix in prefixes):
        raise invalid("The document does not lie where the data source reads.")
    return uri


def _content(source: Source, content: Params) -> dict[str, Any]:
    """The members of `HandedIn` that say what is in it."""
    if source.kind == "S3":
        return {"location": content["s3"]["s3Location"]["uri"]}
    custom = content["custom"]
    inline, location = custom.get("inlineContent"), custom.get("s3Location")
    if bool(inline) == bool(location) or (custom["sourceType"] == "IN_LINE") != bool(inline):
        raise invalid("Exactly what sourceType names must be given: inlineContent or s3Location.")
    if location:
        return {"location": location["uri"]}
    member = inline.get("textContent" if inline["type"] == "TEXT" else "byteContent")
    if not member:
        raise invalid(f"inlineContent has nothing of the type {inline['type']}.")
    if inline["type"] == "TEXT":
        return {"content": member["data"].encode(), "media_type": "text/plain"}
    return {"content": bytes(member["data"]), "media_type": member["mimeType"]}


def _own_uri(call: Call, location: Mapping[str, str]) -> str:
    if location.get("bucketOwnerAccountId", call.account) != call.account:
        raise invalid("The bucket must be of the same account.")
    return location.get("uri", "")


def _shown(document: Document) -> Params:
    named: Params = {"uri": document.uri} if document.kind == "S3" else {"id": document.uri}
    member = "s3" if document.kind == "S3" else "custom"
    return {
        "knowledgeBaseId": document.base,
        "dataSourceId": document.source,
        "status": str(document.status),
        "identifier": {"dataSourceType": document.kind, member: named},
        **({"statusReason": document.reason} if document.reason else {}),
        "updatedAt": moment(document.updated_ms),
    }

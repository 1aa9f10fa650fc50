"""Documents that were handed in one by one, and those to be taken out again.

What was handed in is kept, sealed, until it is read: killed at any point, the region goes on.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import msgspec

from bastide.db.database import Database
from bastide.kernel.call import Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.scheme import Scheme
from bastide.knowledge import records
from bastide.knowledge.attributes import SIZE_MAX as SIDECAR_MAX
from bastide.knowledge.attributes import Attributes, of_sidecar
from bastide.knowledge.fetching import Bucket
from bastide.knowledge.indexing import Indexing
from bastide.knowledge.model import SERVICE, BaseRow, Document, DocumentStatus, Source
from bastide.knowledge.ports import Roles, Sealer
from bastide.knowledge.preparing import Given, key_of
from bastide.knowledge.reading import Unreadable

PURPOSE = "knowledge-document"
REASON_MAX = 2048
PAGE = 100
OUR_FAULT = "It could not be read for a reason of the region's own. Hand it in again."
Steps = Generator[bool, None, None]


class HandedIn(msgspec.Struct, frozen=True, kw_only=True):
    """`location` and `attributes_at` are S3 URIs, "" where what they would lead to is here."""

    content: bytes = b""
    media_type: str = ""
    location: str = ""
    attributes: dict[str, Any] = {}
    attributes_at: str = ""


def sealed(sealer: Sealer, document: Document, given: HandedIn) -> bytes:
    return sealer.seal(PURPOSE, msgspec.msgpack.encode(given), _bound(document))


def _bound(document: Document) -> bytes:
    where = (document.account, document.base, document.source, document.uri, document.label)
    return "\0".join(where).encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    database: Database
    clock: Clock
    scheme: Scheme
    sealer: Sealer
    roles: Roles
    bucket: Bucket
    indexing: Indexing

    def waiting(self) -> list[Document]:
        """The oldest of what there is to do of each agency: none waits behind another's."""
        return self.database.read(lambda c: records.waiting(c, PAGE))

    def settle(self, document: Document) -> Steps:
        """One document, to its end."""
        yield False
        base, source = self._belongings(document)
        key = key_of(document.uri)
        if base is None or source is None:  # it was handed in while they went away
            self.indexing.forget(document)
            self.database.write(lambda c: records.drop_document(c, key, document))
            return
        if document.status is DocumentStatus.DELETING:
            self.indexing.forget(document)
            self.database.write(lambda c: records.drop_deleted(c, key, document))
            return
        try:
            yield from self._index(base, source, document)
        except Unreadable as error:
            self.fail(document, error.reason)
        except ServiceError as error:
            self.fail(document, error.message)

    def fail(self, document: Document, reason: str = OUR_FAULT) -> None:
        """What it said before is not what it says now: it is not found any more."""
        self.indexing.forget(document)
        reason = reason[:REASON_MAX]
        self._end(document, replace(document, status=DocumentStatus.FAILED, reason=reason))

    def _belongings(self, document: Document) -> tuple[BaseRow | None, Source | None]:
        base = self.database.read(lambda c: records.base_of(c, document.account, document.base))
        source = self.database.read(
            lambda c: records.source_of(c, document.account, document.base, document.source)
        )
        return base, source

    def _index(self, base: BaseRow, source: Source, document: Document) -> Steps:
        raw = self.database.read(lambda c: records.waiting_of(c, key_of(document.uri), document))
        if raw is None:
            return
        opened = self.sealer.open(PURPOSE, raw, _bound(document))
        handed = msgspec.msgpack.decode(opened, type=HandedIn)
        who = self.roles.assume_for_service(base.account, base.role_arn, SERVICE, document.label)
        content, ceiling = handed.content, self.scheme.parse(document.label)
        if handed.location:
            fetched = self.bucket.fetch(who, handed.location)
            content, ceiling = fetched.content, fetched.ceiling
        attributes, sidecar = self._attributes(who, handed)
        given = Given(
            base=base,
            source=source,
            document=document,
            who=who,
            content=content,
            name=handed.location or document.uri,
            media_type=handed.media_type,
            ceiling=ceiling,
            attributes=attributes,
        )
        self.indexing.begin(given)
        if not (
            yield from self.indexing.put(given, lambda: None not in self._belongings(document))
        ):
            return
        done = replace(
            document,
            status=DocumentStatus.INDEXED,
            reason="",
            digest=sha256(content).hexdigest(),
            sidecar=sidecar,
        )
        self._end(document, done)

    def _attributes(self, who: Principal, handed: HandedIn) -> tuple[Attributes, str]:
        """And their digest. What was said in the request is no sidecar's, so that the next sync of
        a bucket sees that the document is not as the bucket has it."""
        if not handed.attributes_at:
            given = handed.attributes
            said = b"inline\0" + msgspec.msgpack.encode(given)
            return Attributes(given), sha256(said).hexdigest() if given else ""
        said = self.bucket.fetch(who, handed.attributes_at, bytes_max=SIDECAR_MAX).content
        return of_sidecar(said), sha256(said).hexdigest()

    def _end(self, before: Document, after: Document) -> None:
        told = replace(after, updated_ms=epoch_ms(self.clock.now()))
        key = key_of(before.uri)
        self.database.write(lambda c: records.settle_document(c, key, before, told))

"""One ingestion job, document by document.

What it did to a document it counts in the same transaction that says so: killed at any point, the
job goes on where it was, and counts nothing twice. A document's row is there before its first
passage, and goes after its last: no passage is ever without one.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.jobs.ports import JobFailed
from bastide.kernel.call import Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.knowledge import records
from bastide.knowledge.attributes import Attributes, of_sidecar
from bastide.knowledge.fetching import Bucket, Fetched, Listed
from bastide.knowledge.indexing import Indexing
from bastide.knowledge.model import (
    ENDED,
    SERVICE,
    BaseRow,
    BaseStatus,
    Document,
    DocumentStatus,
    Job,
    JobStatus,
    Source,
    SourceStatus,
    Statistics,
)
from bastide.knowledge.ports import Roles
from bastide.knowledge.preparing import Given, key_of
from bastide.knowledge.reading import Unreadable

FAILURES_TOLD = 100
REASON_MAX = 2048
PAGE = 1_000
Steps = Generator[bool, None, None]
Counted = Callable[[Statistics], Statistics]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where one job works, and as whom."""

    job: Job
    base: BaseRow
    source: Source
    who: Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    database: Database
    clock: Clock
    labels: LabelsInUse
    roles: Roles
    bucket: Bucket
    indexing: Indexing

    def run(self, job: Job) -> Steps:
        """To its end; one step is a document, or a part of a long one."""
        base, source = self._belongings(job)
        if base is None or source is None:
            return
        self._begin(job)
        try:
            who = self.roles.assume_for_service(job.account, base.role_arn, SERVICE, job.label)
            listed = self.bucket.listing(who, source)
            place = _Place(job=job, base=base, source=source, who=who)
            yield from self._documents(place, listed)
        except JobFailed as error:
            self.end(job, JobStatus.FAILED, str(error))
        except ServiceError as error:
            self.end(job, JobStatus.FAILED, error.message)

    def end(self, job: Job, status: JobStatus, reason: str = "") -> None:
        """Once; what has ended stays."""

        def write(c: Connection) -> None:
            now = records.job_of(c, job)
            if now is not None and now.status not in ENDED:
                told = replace(now, status=status, updated_ms=self._now_ms())
                records.save_job(c, _with_failure(told, reason))

        self.database.write(write)

    def _begin(self, job: Job) -> None:
        def write(c: Connection) -> None:
            now = records.job_of(c, job)
            if now is not None and now.status is JobStatus.STARTING:
                records.save_job(c, replace(now, status=JobStatus.IN_PROGRESS))

        self.database.write(write)

    def _documents(self, place: _Place, listed: Listed) -> Steps:
        keys = listed.documents
        sidecars = sum(1 for key in keys.values() if listed.sidecar_of(key))
        self.database.write(
            lambda c: self._count(
                c, place.job, lambda s: replace(s, scanned=len(keys), sidecars_scanned=sidecars)
            )
        )
        for uri, key in keys.items():
            if not self._goes_on(place.job):
                return
            yield False
            yield from self._document(place, uri, listed.sidecar_of(key))
        yield from self._vanished(place, listed)
        if self._goes_on(place.job):
            self.end(place.job, JobStatus.COMPLETE)

    def _goes_on(self, job: Job) -> bool:
        base, source = self._belongings(job)
        now = self.database.read(lambda c: records.job_of(c, job))
        if base is None or source is None or now is None:
            return False
        if now.status is JobStatus.STOPPING:
            self.end(job, JobStatus.STOPPED)
        return now.status is JobStatus.IN_PROGRESS

    def _belongings(self, job: Job) -> tuple[BaseRow | None, Source | None]:
        """None where it is gone, or going."""
        base = self.database.read(lambda c: records.base_of(c, job.account, job.base))
        source = self.database.read(
            lambda c: records.source_of(c, job.account, job.base, job.source)
        )
        if base is not None and base.status is BaseStatus.DELETING:
            base = None
        if source is not None and source.status is SourceStatus.DELETING:
            source = None
        return base, source

    def _document(self, place: _Place, uri: str, sidecar: str) -> Steps:
        had = self._had(place, uri)
        own = had.get(place.job.label)
        if own is not None and own.job == place.job.id:
            return  # done, before the region was ended
        try:
            fetched = self.bucket.fetch(place.who, uri, sidecar)
            if _is_held(fetched, had, place.job.label):
                if own is not None:
                    self._forget(place, own, counted=False)
                return
            if own is not None and _is_as_it_was(fetched, own):
                return
            attributes = of_sidecar(fetched.sidecar) if fetched.sidecar else Attributes()
            yield from self._index(place, uri, own, (fetched, attributes))
        except Unreadable as error:
            self._fail(place, uri, own, error.reason)

    def _had(self, place: _Place, uri: str) -> dict[str, Document]:
        """What is known of a document, by label: its own, and those below."""
        view = self.labels.at(place.job.label)
        found = self.database.read(
            lambda c: records.find_documents(c, place.source, key_of(uri), view)
        )
        return {each.label: each for each in found}

    def _index(
        self, place: _Place, uri: str, own: Document | None, read: tuple[Fetched, Attributes]
    ) -> Steps:
        fetched, attributes = read
        document = own or self._new(place, uri)
        given = Given(
            base=place.base,
            source=place.source,
            document=document,
            who=place.who,
            content=fetched.content,
            name=uri,
            media_type="",
            ceiling=fetched.ceiling,
            attributes=attributes,
        )
        self.indexing.begin(given)
        begun = replace(document, status=DocumentStatus.IN_PROGRESS, job="")
        self.database.write(lambda c: records.put_document(c, key_of(uri), begun))
        if not (
            yield from self.indexing.put(given, lambda: None not in self._belongings(place.job))
        ):
            return
        done = replace(
            document,
            status=DocumentStatus.INDEXED,
            reason="",
            digest=fetched.digest,
            sidecar=fetched.sidecar_digest,
        )
        self._put(place, done, _difference(own, done))

    def _new(self, place: _Place, uri: str) -> Document:
        job = place.job
        return Document(
            account=job.account,
            base=job.base,
            source=job.source,
            uri=uri,
            label=job.label,
            kind="S3",
            status=DocumentStatus.IN_PROGRESS,
            updated_ms=self._now_ms(),
        )

    def _fail(self, place: _Place, uri: str, own: Document | None, reason: str) -> None:
        """What it said before is not what it says now: it is not found any more."""
        document = own or self._new(place, uri)
        self.indexing.forget(document)
        failed = replace(
            document, status=DocumentStatus.FAILED, reason=reason[:REASON_MAX], digest=""
        )
        told = f"{uri}: {reason}"
        self._put(place, failed, lambda s: replace(s, failed=s.failed + 1), told)

    def _put(self, place: _Place, document: Document, counted: Counted, failure: str = "") -> None:
        now_ms = self._now_ms()
        done = replace(document, job=place.job.id, updated_ms=now_ms)

        def write(c: Connection) -> None:
            if records.source_of(c, done.account, done.base, done.source) is None:
                return  # and its documents with it
            records.put_document(c, key_of(document.uri), done)
            self._count(c, place.job, counted, failure)

        self.database.write(write)

    def _vanished(self, place: _Place, listed: Listed) -> Steps:
        """What the job's label has of the source, and the bucket has no more. What cannot be seen
        of it any more, it is the same."""
        view, after = self.labels.at(place.job.label), ("", "")
        while True:
            page = self.database.read(
                lambda c, after=after: records.list_documents(  # type: ignore[misc]
                    c, place.source, view, after, PAGE
                )
            )
            for document in page:
                after = (key_of(document.uri), document.label)
                if document.label == place.job.label and document.uri not in listed.documents:
                    if not self._goes_on(place.job):
                        return
                    self._forget(place, document, counted=True)
                    yield False
            if len(page) < PAGE:
                return

    def _forget(self, place: _Place, document: Document, *, counted: bool) -> None:
        self.indexing.forget(document)

        def write(c: Connection) -> None:
            if records.drop_document(c, key_of(document.uri), document) and counted:
                self._count(c, place.job, lambda s: replace(s, deleted=s.deleted + 1))

        self.database.write(write)

    def _count(self, c: Connection, job: Job, counted: Counted, failure: str = "") -> None:
        now = records.job_of(c, job)
        if now is not None:
            told = replace(now, statistics=counted(now.statistics), updated_ms=self._now_ms())
            records.save_job(c, _with_failure(told, failure))

    def _now_ms(self) -> int:
        return epoch_ms(self.clock.now())


def _with_failure(job: Job, reason: str) -> Job:
    if not reason or len(job.failures) >= FAILURES_TOLD:
        return job
    return replace(job, failures=(*job.failures, reason[:REASON_MAX]))


def _is_as_it_was(fetched: Fetched, own: Document) -> bool:
    same = (own.digest, own.sidecar) == (fetched.digest, fetched.sidecar_digest)
    return same and own.status is DocumentStatus.INDEXED


def _is_held(fetched: Fetched, had: dict[str, Document], label: str) -> bool:
    """Whether a job below has brought the same in already."""
    return any(_is_as_it_was(fetched, each) for at, each in had.items() if at != label)


def _difference(own: Document | None, done: Document) -> Counted:
    if own is None or not own.digest:
        return lambda s: replace(s, new=s.new + 1)
    only_said = own.digest == done.digest
    if only_said:
        return lambda s: replace(s, sidecars_modified=s.sidecars_modified + 1)
    return lambda s: replace(s, modified=s.modified + 1)

"""Trails' files into their buckets: every five minutes, and a signed digest for every hour.

A trail works at the label of the session that made it: it tells what that may read, and its files
are labelled so.

The bucket's policy must let cloudtrail.amazonaws.com in, as it must at AWS; without it nothing is
written, and GetTrailStatus says so. What was put and not noted, because a crash came between, is
put again under its own name.
"""

import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from bastide.audit import records as audit_records
from bastide.audit.digest_keys import DigestKeys
from bastide.audit.model import Kind, decode, has_an_end
from bastide.audit.records import Span
from bastide.db import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.evidence import log_files, records
from bastide.evidence.cloudtrail import Event, is_management
from bastide.evidence.model import Link, LogFile, Trail
from bastide.evidence.ports import Objects, ServicePermits
from bastide.kernel import arns
from bastide.kernel.call import EVIDENCE_WRITER, Principal, PrincipalKind
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.regions import Region

logger = logging.getLogger(__name__)
SERVICE = EVIDENCE_WRITER
EVERY_S = 300.0
HOUR_MS = 3_600_000
EVENTS_MAX = 2_000  # of one file
FILES_MAX = 100  # of one trail, at a time
PATIENCE_MS = 600_000  # a call has ended by then, or is told without its end
OWNER_CONTROLS = {"s3:x-amz-acl": "bucket-owner-full-control"}


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events, and the record after the last one that was looked at."""

    events: Sequence[Event]
    next_index: int


@dataclass(slots=True, kw_only=True)
class Delivery:
    region: Region
    database: Database
    clock: Clock
    objects: Objects
    permits: ServicePermits
    labels: LabelsInUse
    labelling: Labelling
    keys: DigestKeys
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="trail-delivery", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            try:
                self.deliver()
            except Unavailable:
                logger.warning("trails could not be delivered; trying again", exc_info=True)

    def deliver(self, account: str = "", *, to_the_end: bool = False) -> list[Trail]:
        """Deliver what waits, of one account or of all. `to_the_end`: also of calls that go on,
        with a digest of what there is so far."""
        found = self.database.read(records.that_log)
        mine = [trail for trail in found if account in ("", trail.account)]
        return [self.deliver_one(trail, to_the_end=to_the_end) for trail in mine]

    def undelivered(self, size: int) -> list[Trail]:
        """The trails that log and have something to tell of the first `size` records."""
        found = self.database.read(records.that_log)
        return [trail for trail in found if self._next(trail) < size]

    def _next(self, trail: Trail) -> float:
        span, first = self._span(trail), trail.next_index
        page = self.database.read(lambda c: audit_records.account_from(c, span, first, 1))
        return page[0][0] if page else math.inf

    def deliver_one(self, trail: Trail, *, to_the_end: bool = False) -> Trail:
        with self._lock:
            now = self.database.read(lambda c: records.now(c, trail))
            if now is None or not now.logging:
                return trail
            now = self._log_files(now, to_the_end=to_the_end)
            return self._digest(now, to_the_end=to_the_end) if now.has_digests else now

    def rotate_key(self) -> None:
        """The next digest is signed by another key; none is being signed meanwhile."""
        with self._lock:
            self.keys.rotate(self.clock.now())

    def label(self, who: Principal, arn: str, version: str | None) -> Label | None:
        """The label of a trail, for the authorizer; None where the principal sees none."""
        found = self.find(who, arn.rpartition(":trail/")[2])
        return None if found is None else self.labelling.scheme.parse(found.label)

    def is_delivered(self, who: Principal, arn: str) -> bool:
        """Whether an ARN is of a bucket that a trail which a principal sees delivers to, or of a
        key where it does: not whether it wrote what is there, which the store says."""
        bucket, slash, key = arn.partition(":s3:::")[2].partition("/")
        view = self.labels.view(who.session)
        found = self.database.read(lambda c: records.of_account(c, who.account, view))
        return any(
            trail.bucket == bucket
            and (not slash or key.startswith(log_files.folders(self.region, trail)))
            for trail in found
        )

    def find(self, who: Principal, name: str) -> Trail | None:
        """The trail of that name, as a principal sees it."""
        view = self.labels.view(who.session)
        return self.database.read(lambda c: records.find(c, who.account, name, view))

    def check(self, trail: Trail) -> None:
        """ServiceError where the bucket is not there, or does not let the trail write."""
        if not self.objects.has_bucket(self._who(trail), trail.bucket):
            raise ServiceError(
                "S3BucketDoesNotExistException", f"S3 bucket {trail.bucket} does not exist!"
            )
        key = log_files.digest_key(self.region, trail, 0)
        if not (self._may(trail, "s3:GetBucketAcl", "") and self._may(trail, "s3:PutObject", key)):
            raise ServiceError(
                "InsufficientS3BucketPolicyException",
                f"Incorrect S3 bucket policy is detected for bucket: {trail.bucket}",
            )

    def _may(self, trail: Trail, action: str, key: str) -> bool:
        facts = {
            "aws:SourceArn": log_files.arn_of(self.region, trail.account, trail.name),
            "aws:SourceAccount": trail.account,
            "aws:SecureTransport": "true",
            **(OWNER_CONTROLS if key else {}),
        }
        resource = arns.s3(self.region, trail.bucket, key) if key else arns.s3(
            self.region, trail.bucket
        )  # fmt: skip
        return self.permits.permits_service(self._who(trail), action, resource, facts)

    def _who(self, trail: Trail) -> Principal:
        label = self.labelling.scheme.parse(trail.label)
        return Principal(
            account=trail.account,
            arn=SERVICE,
            user_id=SERVICE,
            kind=PrincipalKind.SERVICE,
            issuer_arn="",
            name=SERVICE,
            access_key_id="",
            clearance=label,
            session=label,
        )

    def _log_files(self, trail: Trail, *, to_the_end: bool) -> Trail:
        for _ in range(FILES_MAX):
            now_ms = epoch_ms(self.clock.now())
            batch = self._gathered(trail, now_ms if to_the_end else now_ms - PATIENCE_MS)
            if batch.next_index == trail.next_index:
                break
            trail = self._log_file(trail, batch, now_ms)
            if trail.error:
                break
        return trail

    def _gathered(self, trail: Trail, ended_ms: int) -> _Batch:
        return self.database.read(lambda c: _gather(c, trail, ended_ms, self._span(trail)))

    def _span(self, trail: Trail) -> Span:
        """What the session that made the trail may read; of its time, `next_index` tells."""
        session = self.labelling.scheme.parse(trail.label)
        return Span(
            account=trail.account,
            since_ms=0,
            until_ms=0,
            labels=self.labels.view(session).seen,
            unlabelled=session.dominates(self.labelling.default),
        )

    def _log_file(self, trail: Trail, batch: _Batch, now_ms: int) -> Trail:
        further = replace(trail, next_index=batch.next_index)
        if not batch.events:
            self.database.write(lambda c: records.save(c, further))
            return further
        times = [event.call.time for event in batch.events]
        key = log_files.log_key(self.region, trail, times[0])
        body, digest = log_files.packed(
            {"Records": [event.document(self.region) for event in batch.events]}
        )
        file = LogFile(key=key, hash=digest, oldest_ms=min(times), newest_ms=max(times))
        error = self._put(trail, key, body, {})
        if error:
            failed = replace(trail, error=error)
            self.database.write(lambda c: records.save(c, failed))
            return failed
        further = replace(further, delivered_ms=now_ms, error="")

        def note(connection: Connection) -> None:
            records.save(connection, further)
            if trail.has_digests:
                records.add_file(connection, trail, file)

        self.database.write(note)
        return further

    def _digest(self, trail: Trail, *, to_the_end: bool) -> Trail:
        """One digest up to the last full hour since the chain began, or to this second."""
        now_ms = epoch_ms(self.clock.now())
        hours = (now_ms - trail.digest_from_ms) // HOUR_MS
        end_ms = trail.digest_from_ms + hours * HOUR_MS
        if to_the_end:
            end_ms = now_ms // 1000 * 1000
        if end_ms <= trail.digest_from_ms:
            return trail
        files = self.database.read(lambda c: records.waiting(c, trail))
        signer = self.keys.signer
        document = log_files.digest(self.region, trail, end_ms, files, signer.fingerprint)
        body, digest_hash = log_files.packed(document)
        signature = signer.sign(log_files.to_sign(document, digest_hash)).hex()
        metadata = {"signature": signature, "signature-algorithm": log_files.ALGORITHM}
        key = str(document["digestS3Object"])
        error = self._put(trail, key, body, metadata)
        done = replace(trail, digest_error=error)
        if not error:
            last = Link(key, digest_hash, signature)
            done = replace(done, digest_ms=now_ms, digest_from_ms=end_ms, last=last)

        def note(connection: Connection) -> None:
            records.save(connection, done)
            if not error:
                records.digested(connection, trail, files)

        self.database.write(note)
        return done

    def _put(self, trail: Trail, key: str, body: bytes, metadata: dict[str, str]) -> str:
        """The error's code, or "" when it is there."""
        if not self._may(trail, "s3:PutObject", key):
            return "AccessDenied"
        try:
            self.objects.put(
                self._who(trail),
                trail.bucket,
                key,
                iter((body,)),
                content_type="application/json",
                metadata=metadata,
            )
        except ServiceError as error:
            return error.code
        return ""


def _gather(connection: Connection, trail: Trail, ended_ms: int, span: Span) -> _Batch:
    """Management events from `next_index` on, each with its end. It stops at a call that goes on
    still, unless that began before `ended_ms`."""
    page = audit_records.account_from(connection, span, trail.next_index, EVENTS_MAX)
    calls = [(index, decode(body)) for index, body in page]
    calls = [(index, record) for index, record in calls if record.kind in (Kind.CALL, Kind.DENIED)]
    ends = audit_records.ends(connection, [index for index, _ in calls])
    events: list[Event] = []
    for index, record in calls:
        end = ends.get(index)
        if end is None and has_an_end(record) and record.time > ended_ms:
            return _Batch(events, index)
        if is_management(record.operation):
            events.append(Event(record, decode(end[1]) if end else None))
    return _Batch(events, page[-1][0] + 1 if page else trail.next_index)

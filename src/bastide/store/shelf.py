"""Putting versions where they belong, and finding them: what all operations on objects share."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from bastide.db import derivation_records
from bastide.db.database import Database
from bastide.db.derivations import Thing
from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel.arns import s3
from bastide.kernel.call import Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import ALNUM, Ids
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.regions import Region
from bastide.store import bucket_records, conditions, errors, records
from bastide.store.content import Content, ObjectReader, Source
from bastide.store.digests import DEFAULT, FULL_OBJECT
from bastide.store.model import NULL_VERSION, Blob, Bucket, Doomed, Facts, Upload, Version
from bastide.store.names import VERSION_ID_SIZE
from bastide.store.ports import Writing
from bastide.store.sealed import Place

PUT_SIZE_MAX = 5 * 1024**3
PARTS_MAX = 10_000
READ_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NewObject:
    """What is about to be put, and what must hold when it is made visible. `who` puts it; None:
    two officers, about whom the second engine is asked with their signatures. `source`: what it is
    a copy of."""

    who: Principal | None
    bucket: Bucket
    key: bytes
    facts: Facts
    algorithms: Collection[str] = (DEFAULT,)
    size_max: int = PUT_SIZE_MAX
    if_match: str | None = None
    if_none_match: str | None = None
    source: Thing | None = None
    written_by: str = ""
    verify: Callable[[Blob], Blob] = field(default=lambda blob: blob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What a delete did, for the answer."""

    version_id: str | None = None
    is_marker: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The objects of a region."""

    region: Region
    database: Database
    content: Content
    clock: Clock
    ids: Ids
    labelling: Labelling
    labels: LabelsInUse
    writing: Writing

    def put(self, new: NewObject, source: Source) -> Version:
        """Store a body as the latest version of its key. `verify` sees what was stored before
        anybody else does; it may raise, or say which checksums count."""
        bucket = new.bucket
        label = self.labels.use(self.label_of_new(bucket, new.facts))
        object_id = self.ids.uuid()
        place = Place(
            account=bucket.account, label=label, bucket=bucket.name, key=new.key,
            object_id=object_id,
        )  # fmt: skip
        stored = self.content.store(place, source, new.algorithms, new.size_max, new.facts.kms_key)
        try:
            blob = new.verify(stored)
        except ServiceError:
            self.content.discard(stored)
            raise
        facts = new.facts.with_checksums(blob.checksums, FULL_OBJECT)
        version = self.version_of(new.bucket, new.key, object_id, label, facts)
        version = replace(version, size=blob.size, etag=blob.etag, written_by=new.written_by)
        return self.place(new, version, blob)

    def check_writes(self, who: Principal, bucket: Bucket, key: bytes, kms_key: str) -> None:
        """Whether `who` may seal under the KMS key that an object is to have, if it has one."""
        if kms_key:
            action = "kms:GenerateDataKey"
            self.content.object_keys.check(who, action, kms_key, bucket.name, key)

    def check_reads(self, who: Principal, bucket: Bucket, version: Version) -> None:
        """The same of one that is sealed already. Of what another agency shares, both have a say
        in the use of its key."""
        kms_key, keys = version.facts.kms_key, self.content.object_keys
        if kms_key and bucket.account != who.account:
            keys.check_shared(who, bucket.account, kms_key, bucket.name, version.key)
        elif kms_key:
            keys.check(who, "kms:Decrypt", kms_key, bucket.name, version.key)

    def check_alters(
        self, who: Principal | None, action: str, found: Version | Upload, bucket: Bucket,
        *, is_new: bool = False,
    ) -> None:  # fmt: skip
        """Within a write: whether both engines let `who` make or change what was found."""
        if who is None:
            return
        label = self.labelling.scheme.parse(found.label)
        arn = s3(self.region, bucket.name, found.key.decode())
        if not self.writing.permits(who, action, arn, label, is_new=is_new):
            raise errors.access_denied()

    def label_of_new(self, bucket: Bucket, facts: Facts) -> Label:
        """The label of an object that the bucket's viewer puts into it."""
        around = self.labelling.scheme.parse(bucket.label)
        return self.labelling.of_new(bucket.view.session, facts.tags, around, "InvalidTag")

    def version_of(
        self, bucket: Bucket, key: bytes, object_id: str, label: str, facts: Facts
    ) -> Version:
        return Version(
            bucket_id=bucket.id, key=key, version_id=self.ids.word(VERSION_ID_SIZE, ALNUM),
            object_id=object_id, modified_ms=epoch_ms(self.clock.now()), label=label, facts=facts,
        )  # fmt: skip

    def place(self, new: NewObject, version: Version, blob: Blob) -> Version:
        def work(connection: Connection) -> tuple[Version, list[Doomed]]:
            placed, doomed = self.add(connection, new, version)
            self.content.check_opens(blob)
            records.add_blob(connection, blob)
            return placed, doomed

        try:
            placed, doomed = self.database.write(work)
        except ServiceError:  # after any other failure the row may be there: the sweep decides
            self.content.discard(blob)
            raise
        self.clear(doomed)
        return placed

    def add(
        self, connection: Connection, new: NewObject, version: Version
    ) -> tuple[Version, list[Doomed]]:
        """Within a write: make `version` the latest if the bucket and the conditions hold."""
        bucket = _still(connection, new.bucket)
        if new.if_match is not None or new.if_none_match is not None:
            current = records.latest(connection, bucket, new.key)
            conditions.check_write(new.if_match, new.if_none_match, current, new.key.decode())
        is_above = version.label != bucket.view.own
        if bucket.versioning != "Enabled" and not is_above:
            version = replace(version, version_id=NULL_VERSION)
        doomed = records.add_version(connection, version, is_above=is_above)
        self.check_alters(new.who, "s3:PutObject", version, bucket, is_new=not doomed)
        made, source = self.thing(bucket, version), new.source
        # Of what is above, and may be there unseen, nothing is forgotten.
        if not (is_above and derivation_records.is_known(connection, bucket.account, made)):
            derivation_records.put(connection, bucket.account, made, [source] if source else [])
        return version, doomed

    def thing(self, bucket: Bucket, found: Version) -> Thing:
        """A version as a node of what was made of what; a shared one goes by its alias."""
        return Thing(s3(self.region, bucket.address, found.key.decode()), found.label)

    def clear(self, doomed: Iterable[Doomed]) -> None:
        """Remove files, after the commit that forgot them."""
        for each in doomed:
            self.content.blobs.remove(each.object_id, each.blob_ids)

    def find(self, bucket: Bucket, key: bytes, version_id: str | None) -> Version | None:
        """The version asked for, or the latest; either may be a delete marker."""

        def work(connection: Connection) -> Version | None:
            if version_id is None:
                return records.latest(connection, bucket, key)
            return records.version(connection, bucket, key, version_id)

        return self.database.read(work)

    def blobs_of(self, version: Version) -> list[Blob]:
        return self.database.read(lambda c: records.blobs_of(c, version.object_id))

    def parts_of(self, version: Version) -> list[Blob]:
        """The parts' sizes and checksums, without what is kept inline."""
        return self.database.read(lambda c: records.parts_of(c, version.object_id, -1, PARTS_MAX))

    def reader(
        self, bucket: Bucket, version: Version, start: int = 0, end: int | None = None
    ) -> ObjectReader | None:
        """The version's bytes; None when it was replaced since it was found."""
        blobs = self.blobs_of(version)
        place = Place(
            account=bucket.account, label=version.label, bucket=bucket.name, key=version.key,
            object_id=version.object_id,
        )  # fmt: skip
        if not blobs:
            return None
        try:
            return self.content.reader(blobs, place, start, version.size if end is None else end)
        except FileNotFoundError:
            return None

    def remove(
        self,
        who: Principal,
        bucket: Bucket,
        key: bytes,
        version_id: str | None,
        if_match: str | None = None,
    ) -> Removed:
        """Only what has the label of the bucket's viewer: a lower one would learn of it."""
        removal = self.removal(who, bucket, key, version_id)

        def work(connection: Connection) -> tuple[Removed, list[Doomed]]:
            if if_match is not None:
                current = records.latest(connection, bucket, key)
                conditions.check_write(if_match, None, current, key.decode())
            return self.remove_one(connection, removal)

        removed, doomed = self.database.write(work)
        self.clear(doomed)
        return removed

    def removal(
        self, who: Principal, bucket: Bucket, key: bytes, version_id: str | None
    ) -> "Removal":
        """What both engines say is asked here, before the write: what may be removed has the
        session's own label, and a thousand keys would be asked about while all writes wait."""
        own = self.labels.use(bucket.view.session)
        made = self.version_of(bucket, key, self.ids.uuid(), own, Facts())
        action = "s3:DeleteObject" if version_id is None else "s3:DeleteObjectVersion"
        arn, label = s3(self.region, bucket.name, key.decode()), bucket.view.session
        may = self.writing.permits(who, action, arn, label, is_new=False)
        return Removal(bucket, replace(made, is_marker=True), version_id, may)

    def remove_one(
        self, connection: Connection, removal: "Removal"
    ) -> tuple[Removed, list[Doomed]]:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html"""
        bucket, marker = _still(connection, removal.bucket), removal.marker
        if removal.version_id is not None:
            gone = self._gone(connection, removal, bucket, removal.version_id)
            doomed = [] if gone is None else [records.remove_version(connection, gone)]
            is_marker = gone is not None and gone.is_marker
            return Removed(version_id=removal.version_id, is_marker=is_marker), doomed
        if not bucket.versioning:
            gone = self._gone(connection, removal, bucket, NULL_VERSION)
            return Removed(), [] if gone is None else [records.remove_version(connection, gone)]
        if bucket.versioning != "Enabled":
            marker = replace(marker, version_id=NULL_VERSION)
        if not removal.may:
            raise errors.access_denied()
        doomed = records.add_version(connection, marker, is_above=False)
        return Removed(version_id=marker.version_id, is_marker=True), doomed

    def _gone(
        self, connection: Connection, removal: "Removal", bucket: Bucket, version_id: str
    ) -> Version | None:
        """The version, if it may be removed: AccessDenied for one of a lower label."""
        found = records.version(connection, bucket, removal.marker.key, version_id)
        if found is not None and (found.label != bucket.view.own or not removal.may):
            raise errors.access_denied()
        return found


@dataclass(frozen=True, slots=True)
class Removal:
    """What is about to be deleted. `marker`: what goes there where versions are kept. `may`: what
    both engines say of one of the session's label."""

    bucket: Bucket
    marker: Version
    version_id: str | None
    may: bool


def replaced_too_often() -> Unavailable:
    return Unavailable("The object is being replaced faster than it can be read.")


def _still(connection: Connection, bucket: Bucket) -> Bucket:
    """The bucket as it is now; it may have been deleted, even made anew, since it was found."""
    now = bucket_records.now(connection, bucket)
    if now is None:
        raise errors.no_such_bucket(bucket.name)
    return now

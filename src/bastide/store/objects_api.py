"""Objects for the region's own work: jobs' inputs and outputs, model files. Nothing here asks a
policy, but that of a KMS key which an object is sealed under: the caller did, for the role that
the job runs under."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bastide.kernel.arns import s3
from bastide.kernel.call import Crossed, Principal, PrincipalKind
from bastide.kernel.clock import moment
from bastide.kernel.labels.label import Label
from bastide.kernel.regions import Region
from bastide.policy.sharing import Shared, is_alias
from bastide.store import bucket_records, errors, records, shelf
from bastide.store.content import Pieces
from bastide.store.model import Bucket, Facts, Version
from bastide.store.names import check_version_id, key_bytes, text_bytes
from bastide.store.records import Span
from bastide.store.shares import Shares
from bastide.store.shelf import NewObject, Shelf
from bastide.store.views import view_of

PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    key: str
    size: int
    etag: str
    modified: datetime
    label: Label
    version_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSpace:
    """The objects of an account that a principal's session sees. What is absent, or above it, is
    NoSuchBucket and NoSuchKey. `crossed` records a read of what another account shares."""

    shelf: Shelf
    shares: Shares
    region: Region
    crossed: Callable[[Principal, Crossed], None]

    def open(
        self, who: Principal, bucket: str, key: str, version_id: str | None = None
    ) -> tuple[ObjectInfo, Iterator[bytes]]:
        """An object and its bytes; the iterator has a `close`. None: its latest version."""
        check_version_id(version_id)
        where = self._readable(who, bucket, key)
        for _ in range(shelf.READ_TRIES):
            version = self.shelf.find(where, key_bytes(key), version_id)
            if version is None or version.is_marker:
                raise errors.no_such_key(key)
            self.shelf.check_reads(who, where, version)
            reader = self.shelf.reader(where, version)
            if reader is not None:
                return self._info(version), reader
        raise shelf.replaced_too_often()

    def put(
        self,
        who: Principal,
        bucket: str,
        key: str,
        chunks: Iterable[bytes],
        content_type: str = "binary/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        where = self._bucket(who, bucket)
        headers = {"ContentType": content_type}
        facts = Facts(headers=headers, metadata=metadata or {}, kms_key=where.kms_key)
        self.shelf.check_writes(who, where, key_bytes(key), where.kms_key)
        new = NewObject(
            who=who,
            bucket=where,
            key=key_bytes(key),
            facts=facts,
            written_by=who.name if who.kind is PrincipalKind.SERVICE else "",
        )
        return self._info(self.shelf.put(new, Pieces(chunks)))

    def listing(self, who: Principal, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        """Every object under `prefix`, in key order, a page at a time."""
        where = self._readable(who, bucket)
        after, start = b"", text_bytes(prefix)
        while True:
            span = Span(prefix=start, after=after)
            page = self.shelf.database.read(
                lambda c, span=span: records.listed(c, where, span, PAGE_SIZE)  # type: ignore[misc]
            )
            yield from (self._info(version) for version in page)
            if len(page) < PAGE_SIZE:
                return
            after = page[-1].key

    def has_bucket(self, who: Principal, bucket: str) -> bool:
        return self._find(who, bucket) is not None

    def bucket_policy(self, who: Principal, bucket: str) -> str | None:
        """The policy document of a bucket, for the authorizer; None if there is none."""
        found = self._find(who, bucket)
        return None if found is None else found.policy

    def shared(self, who: Principal, alias: str) -> Shared | None:
        """What a share shows of another agency's bucket, for the authorizer."""
        found = self.shares.bucket(who, alias)
        if found is None:
            return None
        return Shared(
            owner=found.account,
            bucket=found.name,
            prefix=found.shared_prefix,
            policy=found.policy,
        )

    def tags(self, who: Principal, arn: str, version: str | None) -> Mapping[str, str]:
        """The tags of a bucket, or of a version of an object, for the authorizer."""
        found = self._named(who, arn, version)
        if isinstance(found, Version):
            return found.facts.tags
        return found.tags if found else {}

    def label(self, who: Principal, arn: str, version: str | None) -> Label | None:
        """The label of a bucket or of a version of an object, for the authorizer."""
        found = self._named(who, arn, version)
        return self.shelf.labelling.scheme.parse(found.label) if found else None

    def marked(self, account: str, arn: str) -> Sequence[str]:
        """The markings of all buckets or objects that have an ARN, for operators."""
        name, slash, key = arn.partition(":::")[2].partition("/")
        inside = key.encode(errors="replace") if slash else None
        labels_of = bucket_records.labels_of
        return self.shelf.database.read(lambda c: labels_of(c, account, name, inside))

    def _named(self, who: Principal, arn: str, version: str | None) -> Bucket | Version | None:
        name, slash, key = arn.partition(":::")[2].partition("/")
        alias = is_alias(name)
        bucket = self.shares.bucket(who, name) if alias else self._find(who, name)
        if bucket is None or not slash:
            return bucket
        return self.shelf.find(bucket, key.encode(errors="replace"), version)

    def _readable(self, who: Principal, name: str, key: str | None = None) -> Bucket:
        """The bucket, to read from it. By an alias it is another agency's, and in that one's trail
        before a byte is read."""
        if not is_alias(name):
            return self._bucket(who, name)
        found = self.shares.bucket(who, name)
        if found is None:
            raise errors.no_such_bucket(name)
        self.crossed(who, Crossed(found.account, s3(self.region, found.name, key)))
        return found

    def _bucket(self, who: Principal, name: str) -> Bucket:
        found = self._find(who, name)
        if found is None:
            raise errors.no_such_bucket(name)
        return found

    def _find(self, who: Principal, name: str) -> Bucket | None:
        view = view_of(self.shelf.labels, who)
        find = bucket_records.find
        return self.shelf.database.read(lambda c: find(c, who.account, name, view))

    def _info(self, version: Version) -> ObjectInfo:
        return ObjectInfo(
            key=version.key.decode(),
            size=version.size,
            etag=version.etag,
            modified=moment(version.modified_ms),
            label=self.shelf.labelling.scheme.parse(version.label),
            version_id=version.version_id,
        )

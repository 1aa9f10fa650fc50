"""Objects with all that is said of them, for the gate between regions: out, and in again.

The gate is the operators', and it has its own rules (`transfer/`): it sees all that the region
holds. One policy is asked: that of the KMS key which an object is, or will be, sealed under.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bastide.db import derivation_records
from bastide.db.derivations import Thing
from bastide.kernel import arns
from bastide.kernel.call import Principal, PrincipalKind
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import TAG
from bastide.kernel.regions import Region
from bastide.store import bucket_records, errors, records, requests, shelf
from bastide.store.content import ObjectReader, Pieces
from bastide.store.model import Bucket, Facts, Version
from bastide.store.names import key_bytes, text_bytes
from bastide.store.records import Span
from bastide.store.shelf import NewObject, Shelf

PAGE_SIZE = 1000
GATE = "transfer.bastide"  # the service that a KMS key's policy lets carry what is under the key
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """The latest version of an object, and what clients said of it. `id`: no other version of any
    object ever has it. `arn` and those of what it was made of begin with the region's name: another
    region may have things of that ARN."""

    key: str
    id: str = ""
    size: int
    label: str
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    arn: str = ""
    made_of: Sequence[Thing] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrying:
    """Absent buckets and keys are NoSuchBucket and NoSuchKey."""

    shelf: Shelf
    region: Region

    def listing(self, account: str, bucket: str, prefix: str) -> Iterator[Carried]:
        """Every object under `prefix`, in key order, a page at a time. Refused at the first whose
        KMS key does not let the gate carry it: also one that an earlier call has read already."""
        where = self._bucket(account, bucket, self.shelf.labelling.ceiling)
        after, start = b"", text_bytes(prefix)
        while True:
            span = Span(prefix=start, after=after)
            page = self.shelf.database.read(
                lambda c, span=span: records.listed(  # type: ignore[misc]
                    c, where, span, PAGE_SIZE, whole=True
                )
            )
            for version in page:
                self._check_key(where, "kms:Decrypt", version.facts.kms_key, version.key)
                yield _carried(version)
            if len(page) < PAGE_SIZE:
                return
            after = page[-1].key

    def open(self, account: str, bucket: str, key: str) -> tuple[Carried, ObjectReader]:
        where = self._bucket(account, bucket, self.shelf.labelling.ceiling)
        for _ in range(shelf.READ_TRIES):
            version = self.shelf.find(where, key_bytes(key), None)
            if version is None or version.is_marker:
                raise errors.no_such_key(key)
            self._check_key(where, "kms:Decrypt", version.facts.kms_key, version.key)
            reader = self.shelf.reader(where, version)
            if reader is not None:
                return self._with_sources(account, bucket, _carried(version)), reader
        raise shelf.replaced_too_often()

    def put(self, account: str, bucket: str, carried: Carried, chunks: Iterable[bytes]) -> None:
        """Store it under the label that it came with, or a higher one where it goes into a bucket
        that not all who see the one see."""
        scheme = self.shelf.labelling.scheme
        around = self._bucket(account, bucket, self.shelf.labelling.ceiling)
        label = scheme.parse(around.label).join(scheme.parse(carried.label))
        self.shelf.labels.use(label)
        said = {name: text for name, text in carried.tags.items() if name != TAG}
        tags = said | ({TAG: label.text} if TAG in carried.tags else {})
        facts = Facts(
            headers=carried.headers, metadata=carried.metadata, tags=tags, kms_key=around.kms_key
        )
        check_said(carried.headers, carried.metadata)
        key = key_bytes(carried.key)
        self._check_key(around, "kms:GenerateDataKey", facts.kms_key, key)
        new = NewObject(who=None, bucket=self._bucket(account, bucket, label), key=key, facts=facts)
        self.shelf.put(new, Pieces(chunks))
        if carried.made_of:
            made = Thing(arns.s3(self.region, bucket, carried.key), label.text)
            put = derivation_records.put
            self.shelf.database.write(lambda c: put(c, account, made, carried.made_of))

    def _with_sources(self, account: str, bucket: str, found: Carried) -> Carried:
        arn, sources_of = arns.s3(self.region, bucket, found.key), derivation_records.sources_of
        edges = self.shelf.database.read(lambda c: sources_of(c, account, [arn]))
        made_of = [self._named(of) for made, of in edges if made.label == found.label]
        return replace(found, arn=f"{self.region.name}/{arn}", made_of=made_of)

    def _named(self, thing: Thing) -> Thing:
        is_local = thing.arn.startswith("arn:")  # else it came here with its region's name
        return Thing(f"{self.region.name}/{thing.arn}" if is_local else thing.arn, thing.label)

    def check_lands(self, account: str, bucket: str, key: str) -> None:
        """Raises ServiceError where an object could not be put."""
        where = self._bucket(account, bucket, self.shelf.labelling.ceiling)
        self._check_key(where, "kms:GenerateDataKey", where.kms_key, key_bytes(key))

    def _check_key(self, where: Bucket, action: str, kms_key: str, key: bytes) -> None:
        if not kms_key:
            return
        label = self.shelf.labelling.ceiling
        gate = Principal(
            account=where.account, arn=GATE, user_id=GATE, kind=PrincipalKind.SERVICE,
            issuer_arn="", name=GATE, access_key_id="", clearance=label, session=label,
        )  # fmt: skip
        self.shelf.content.object_keys.check_service(gate, action, kms_key, where.name, key)

    def has_bucket(self, account: str, bucket: str) -> bool:
        return self._find(account, bucket, self.shelf.labelling.ceiling) is not None

    def _bucket(self, account: str, name: str, session: Label) -> Bucket:
        found = self._find(account, name, session)
        if found is None:
            raise errors.no_such_bucket(name)
        return found

    def _find(self, account: str, name: str, session: Label) -> Bucket | None:
        view = self.shelf.labels.view(session)
        find = bucket_records.find
        return self.shelf.database.read(lambda c: find(c, account, name, view))


def check_said(headers: Mapping[str, str], metadata: Mapping[str, str]) -> None:
    """What no client could say of an object, another region cannot either: it goes into answers as
    their headers. Raises ServiceError."""
    try:
        datetime.fromisoformat(headers.get("Expires", "2000-01-01"))
        is_known = headers.keys() <= {*requests.CONTENT_HEADERS, "Expires"}
    except ValueError:
        is_known = False
    if not is_known or not all(map(_HEADER.fullmatch, metadata)):
        message = "What is said of an object would not be headers of an answer."
        raise ServiceError("InvalidArgument", message, status=400)
    requests.check_metadata(metadata)


def _carried(version: Version) -> Carried:
    return Carried(
        key=version.key.decode(),
        id=version.object_id,
        size=version.size,
        label=version.label,
        headers=version.facts.headers,
        metadata=version.facts.metadata,
        tags=version.facts.tags,
    )

"""Buckets, versions, blobs and uploads as frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bastide.kernel.labels.view import View

Params = dict[str, Any]
NULL_VERSION = "null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket as one session sees it. `versioning` is "", "Enabled" or "Suspended"."""

    id: str
    account: str
    name: str
    created_ms: int
    label: str
    view: View
    versioning: str = ""
    policy: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    kms_key: str = ""  # the ARN of the one that objects are sealed under if nothing else is said
    bucket_key: bool = False
    alias: str = ""  # of the share that shows it to another agency
    shared_prefix: str = ""

    @property
    def address(self) -> str:
        """What its viewer calls it."""
        return self.alias or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What the agency `reader` may read of a bucket of `owner`: keys with the prefix, up to the
    label, whose marking this is."""

    alias: str
    owner: str
    reader: str
    bucket_id: str
    bucket: str
    prefix: str
    label: str
    granted_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a client says of an object: content headers by their member names, user metadata,
    tags, the checksums that hold for it, and whose key it is to be sealed under."""

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = ""
    kms_key: str = ""  # the ARN of a KMS key that it is sealed under too

    def with_checksums(self, checksums: Mapping[str, str], kind: str) -> "Facts":
        return replace(self, checksums=checksums, checksum_type=kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of an object, or a delete marker (which has no blobs). A smaller `rank` is
    newer. `parts` is 0 for an object that was put whole. The versions of each label are a chain of
    their own, with a latest one, so that nothing of one label tells of another. `written_by`: the
    service of the region that wrote it of its own, "" for what anybody put."""

    bucket_id: str
    key: bytes
    version_id: str
    object_id: str
    modified_ms: int
    label: str = ""
    size: int = 0
    etag: str = ""
    parts: int = 0
    is_marker: bool = False
    facts: Facts = field(default_factory=Facts)
    rank: int = 0
    is_latest: bool = True
    written_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Sealed bytes: in a file, or `inline` when small. The DEK is wrapped by the KEK named."""

    object_id: str
    part: int
    blob_id: str
    account: str
    label: str
    size: int
    etag: str
    kek_id: str
    wrapped: bytes
    modified_ms: int
    inline: bytes | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one KEK opens. An upload under way counts as the object that it may become."""

    objects: int = 0
    data_keys: int = 0
    size: int = 0

    def __add__(self, other: "Held") -> "Held":
        return Held(
            objects=self.objects + other.objects,
            data_keys=self.data_keys + other.data_keys,
            size=self.size + other.size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A multipart upload that is neither completed nor aborted. Its id becomes the object's, so
    that its parts are sealed for where they will be, and a repeated Complete finds them."""

    id: str
    bucket_id: str
    key: bytes
    initiated_ms: int
    initiator: str
    label: str
    algorithm: str = ""
    checksum_type: str = ""
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True)
class Doomed:
    """Files to remove once the transaction that forgot them is durable."""

    object_id: str
    blob_ids: tuple[str, ...]

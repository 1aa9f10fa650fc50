"""What S3's requests have in common: whose bucket, which facts, which values are refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel.arns import s3
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, unsupported
from bastide.policy.sharing import is_alias
from bastide.store import bucket_records, digests, errors, names
from bastide.store.digests import ALGORITHMS, DEFAULT
from bastide.store.model import Blob, Bucket, Facts, Params, Version
from bastide.store.ports import Access
from bastide.store.shares import Shares
from bastide.store.views import view_of

CONTENT_HEADERS = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType",
)  # fmt: skip
DEFAULT_TYPE = "binary/octet-stream"
OBJECT_TAGS_MAX = 10
BUCKET_TAGS_MAX = 50
_ALLOWED = {
    "ACL": ("private", "bucket-owner-full-control"),
    "StorageClass": ("STANDARD",),
    "ServerSideEncryption": ("AES256", "aws:kms"),
    "ChecksumAlgorithm": tuple(sorted(ALGORITHMS)),
}
_STORAGE_CLASSES = frozenset({
    "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER",
    "GLACIER_IR", "DEEP_ARCHIVE", "OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS",
})  # fmt: skip
FACT_MEMBERS = (*CONTENT_HEADERS, "Expires", "Metadata", "Tagging", "StorageClass")
ACCEPTED = {
    "ACL": "only private and bucket-owner-full-control are taken, which is what every object has",
    "RequestPayer": "nobody pays for requests here",
}
ENCRYPTION = ("ServerSideEncryption", "SSEKMSKeyId")
SEALED = {"BucketKeyEnabled": "it only spares calls of KMS; each object has a data key of its own"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Finds the bucket of a call: only the caller's account has buckets, as far as it can tell,
    and only those that its session dominates. What others share of theirs is only read."""

    database: Database
    labels: LabelsInUse
    access: Access
    shares: Shares

    def bucket(self, call: Call, req: Params) -> Bucket:
        return self.named(call, req["Bucket"], req.get("ExpectedBucketOwner"))

    def own(self, call: Call, req: Params) -> Bucket:
        """The bucket, to change it: one of the session's own label. The authorizer has looked,
        but since then that one may have gone, and a lower one be found."""
        found = self.bucket(call, req)
        if found.label != found.view.own:
            raise errors.access_denied()
        return found

    def read_from(self, call: Call, req: Params) -> Bucket:
        """The bucket, to read what is in it: by an alias, another agency's."""
        return self.source(call, req["Bucket"], req.get("ExpectedBucketOwner"))

    def source(self, call: Call, name: str, owner: str | None) -> Bucket:
        if not is_alias(name):
            return self.named(call, name, owner)
        found = self.shares.bucket(call.principal, name)
        if found is None:
            raise errors.no_such_bucket(name)
        if owner is not None and owner != found.account:
            raise errors.access_denied()
        return found

    def named(self, call: Call, name: str, owner: str | None) -> Bucket:
        view = view_of(self.labels, call.principal)
        found = self.database.read(lambda c: bucket_records.find(c, call.account, name, view))
        if found is None:
            raise errors.no_such_bucket(name)
        if owner is not None and owner != call.account:
            raise errors.access_denied()
        return found

    def require(
        self,
        call: Call,
        action: str,
        bucket: str,
        key: str | None = None,
        req: Params | None = None,
    ) -> None:
        if not self.permits(call, action, bucket, key, req):
            raise errors.access_denied()

    def permits(
        self,
        call: Call,
        action: str,
        bucket: str,
        key: str | None = None,
        req: Params | None = None,
    ) -> bool:
        """`req` where its members are condition keys, as the tags of a PutObject are."""
        arn = s3(call.region, bucket, key)
        return self.access.standing(call, req or {}).permits(f"s3:{action}", arn)

    def absent(self, call: Call, bucket: str, key: str) -> ServiceError:
        """Who may not list may not learn that a key is free (as on S3)."""
        if self.permits(call, "ListBucket", bucket):
            return errors.no_such_key(key)
        return errors.access_denied()


def refuse_values(call: Call, req: Params) -> None:
    """Values of honoured members that would ask for something that is not done here."""
    for member, allowed in _ALLOWED.items():
        value = req.get(member)
        if value and value not in allowed:
            if member == "ACL":
                raise errors.no_acls()
            if member == "StorageClass" and value not in _STORAGE_CLASSES:
                raise errors.invalid_storage_class()
            raise unsupported(call.operation, f"{member}={value}")


def kms_key_of(req: Params, bucket: Bucket) -> str:
    """The KMS key that an object is to be sealed under: the one named, or the bucket's. Every
    object is sealed under its agency's own key as well, which is all that AES256 asks for."""
    asked, named = req.get("ServerSideEncryption"), req.get("SSEKMSKeyId")
    if named and asked != "aws:kms":
        raise errors.invalid_argument(
            "Server Side Encryption with AWS KMS managed key requires HTTP header "
            "x-amz-server-side-encryption : aws:kms",
            "x-amz-server-side-encryption",
            asked or "",
        )
    return str(named or ("" if asked == "AES256" else bucket.kms_key))


def encryption_members(facts: Facts) -> Params:
    if not facts.kms_key:
        return {"ServerSideEncryption": "AES256"}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": facts.kms_key}


def facts_of(req: Params) -> Facts:
    headers = {name: req[name] for name in CONTENT_HEADERS if req.get(name)}
    encodings = [each.strip() for each in headers.pop("ContentEncoding", "").split(",")]
    kept = ", ".join(each for each in encodings if each and each != "aws-chunked")
    if kept:
        headers["ContentEncoding"] = kept
    headers.setdefault("ContentType", DEFAULT_TYPE)
    if isinstance(req.get("Expires"), datetime):
        headers["Expires"] = req["Expires"].astimezone(UTC).isoformat()
    metadata = {name.lower(): value for name, value in (req.get("Metadata") or {}).items()}
    check_metadata(metadata)
    return Facts(headers=headers, metadata=metadata, tags=tags_of_header(req.get("Tagging")))


def check_metadata(metadata: Mapping[str, str]) -> None:
    size = sum(
        len(names.text_bytes(name)) + len(names.text_bytes(value))
        for name, value in metadata.items()
    )
    if size > names.METADATA_SIZE_MAX:
        raise ServiceError(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            status=400,
            members={"Size": str(size), "MaxSizeAllowed": str(names.METADATA_SIZE_MAX)},
        )


def tags_of_header(header: str | None) -> dict[str, str]:
    """`a=1&b=2`, percent-encoded."""
    if not header:
        return {}
    try:
        pairs = parse_qsl(header, keep_blank_values=True, max_num_fields=OBJECT_TAGS_MAX + 1)
    except ValueError:
        raise _too_many(OBJECT_TAGS_MAX, "Object") from None
    return checked_tags([{"Key": key, "Value": value} for key, value in pairs], OBJECT_TAGS_MAX)


def checked_tags(tag_set: list[dict[str, str]], limit: int) -> dict[str, str]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html"""
    if len(tag_set) > limit:
        raise _too_many(limit, "Object" if limit == OBJECT_TAGS_MAX else "Bucket")
    tags: dict[str, str] = {}
    for tag in tag_set:
        key, value = tag["Key"], tag["Value"]
        if not 1 <= len(key) <= 128:
            raise _invalid_tag("The TagKey you have provided is invalid")
        if len(value) > 256:
            raise _invalid_tag("The TagValue you have provided is invalid")
        if key.lower().startswith("aws:"):
            raise _invalid_tag("System tags cannot be added/updated by requester")
        if key in tags:
            raise _invalid_tag("Cannot provide multiple Tags with the same key")
        tags[key] = value
    return tags


def algorithms_of(call: Call, req: Params) -> set[str]:
    """The checksums of a body that its client gives or asks for, or else the default one."""
    asked = {req["ChecksumAlgorithm"]} if req.get("ChecksumAlgorithm") else set()
    return {*asked, *given_checksums(req), *call.body.promised} & ALGORITHMS or {DEFAULT}


def given_checksums(req: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: req[f"Checksum{name}"] for name in sorted(ALGORITHMS) if req.get(f"Checksum{name}")
    }


def header_members(version: Version) -> Params:
    """The stored content headers as members of an answer."""
    headers: Params = dict(version.facts.headers)
    if "Expires" in headers:
        headers["Expires"] = datetime.fromisoformat(headers["Expires"])
    return headers


def checksum_members(version: Version) -> Params:
    if not version.facts.checksums:
        return {}
    return {
        **digests.members(version.facts.checksums),
        "ChecksumType": version.facts.checksum_type,
    }


def part_checksum_members(version: Version, part: Blob) -> Params:
    """A part's own sums, by the algorithm of the object that it became a part of."""
    sums = {name: part.checksums.get(name) for name in version.facts.checksums}
    return digests.members({name: value for name, value in sums.items() if value})


def moment(epoch_ms: int) -> datetime:
    """A time as S3 shows it: in whole seconds."""
    return datetime.fromtimestamp(epoch_ms // 1000, UTC)


def owner_of(account: str) -> Params:
    """S3's canonical user id is 64 hexadecimal digits that only name the account."""
    return {"ID": sha256(f"canonical-user|{account}".encode()).hexdigest()}


def quoted(etag: str) -> str:
    return f'"{etag}"'


def checksum_names() -> tuple[str, ...]:
    return tuple(f"Checksum{name}" for name in sorted(ALGORITHMS))


def _invalid_tag(message: str) -> ServiceError:
    return ServiceError("InvalidTag", message, status=400)


def _too_many(limit: int, noun: str) -> ServiceError:
    message = f"{noun} tags cannot be greater than {limit}"
    return ServiceError("BadRequest", message, status=400)

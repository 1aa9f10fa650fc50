"""Copies: read, checked and sealed anew, since a blob is bound to its place."""

import re
from dataclasses import dataclass, replace

from bastide.kernel.call import Call
from bastide.kernel.operation import operation
from bastide.store import conditions, digests, errors, requests
from bastide.store.content import Pieces
from bastide.store.lookup import Opened, Wanted, found, opened
from bastide.store.model import Bucket, Facts, Params, Version
from bastide.store.multipart import NewPart, store_part
from bastide.store.names import key_bytes, parse_copy_source
from bastide.store.requests import ACCEPTED, ENCRYPTION, FACT_MEMBERS, SEALED, Doors, moment, quoted
from bastide.store.shelf import PUT_SIZE_MAX, NewObject, Shelf

_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{1,19})")
_SOURCE = (
    "CopySource", "CopySourceIfMatch", "CopySourceIfModifiedSince", "CopySourceIfNoneMatch",
    "CopySourceIfUnmodifiedSince", "ExpectedBucketOwner", "ExpectedSourceBucketOwner",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""

    shelf: Shelf
    doors: Doors

    @operation(
        "Bucket", "Key", *_SOURCE, *FACT_MEMBERS, "MetadataDirective", "TaggingDirective",
        "ChecksumAlgorithm", "IfMatch", "IfNoneMatch", *ENCRYPTION,
        accepted={**ACCEPTED, **SEALED},
    )  # fmt: skip
    def copy_object(self, call: Call, req: Params) -> Params:
        requests.refuse_values(call, req)
        key = key_bytes(req["Key"])
        bucket = self.doors.bucket(call, req)
        source_bucket, source = self._source(call, req, None)
        try:
            facts = self._facts(call, req, source.version)
            facts = replace(facts, kms_key=requests.kms_key_of(req, bucket))
            self.shelf.check_writes(call.principal, bucket, key, facts.kms_key)
            _check_size(source.version.size)
            _check_changes(req, bucket, source.version, key)
            algorithm = _algorithm(req, source.version)
            new = NewObject(
                who=call.principal, bucket=bucket, key=key, facts=facts, algorithms={algorithm},
                if_match=req.get("IfMatch"), if_none_match=req.get("IfNoneMatch"),
                source=self.shelf.thing(source_bucket, source.version),
            )  # fmt: skip
            version = self.shelf.put(new, Pieces(source.reader))
        finally:
            source.reader.close()
        result = {"ETag": quoted(version.etag), "LastModified": moment(version.modified_ms)}
        answer: Params = {
            "CopyObjectResult": result | requests.checksum_members(version),
            **requests.encryption_members(facts),
        }
        if bucket.versioning == "Enabled":
            answer["VersionId"] = version.version_id
        return answer | _source_version(source_bucket, source)

    @operation(
        "Bucket", "Key", "PartNumber", "UploadId", "CopySourceRange", *_SOURCE,
        accepted={"RequestPayer": ACCEPTED["RequestPayer"]},
    )  # fmt: skip
    def upload_part_copy(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)
        source_bucket, source = self._source(call, req, req.get("CopySourceRange"))
        try:
            part = NewPart(
                who=call.principal,
                bucket=bucket,
                source=Pieces(source.reader),
                copied=self.shelf.thing(source_bucket, source.version),
            )
            blob, upload = store_part(self.shelf, req, part)
        finally:
            source.reader.close()
        result = {"ETag": quoted(blob.etag), "LastModified": moment(blob.modified_ms)}
        return {
            "CopyPartResult": result | digests.members(blob.checksums),
            **requests.encryption_members(upload.facts),
            **_source_version(source_bucket, source),
        }

    def _source(self, call: Call, req: Params, span: str | None) -> tuple[Bucket, Opened]:
        """The source, opened, if the caller may read it: that is a second resource, which the
        authorization of the call itself has not seen."""
        name, key, version_id = parse_copy_source(req["CopySource"])
        self._require(call, req, "GetObject")
        bucket = self.doors.source(call, name, req.get("ExpectedSourceBucketOwner"))

        def choose() -> tuple[Version, int, int]:
            wanted = Wanted(bucket, key, version_id)
            version = found(self.shelf, self.doors, call, wanted, "GET")
            conditions.check_copy_source(conditions.of_copy_source(req), version)
            self.shelf.check_reads(call.principal, bucket, version)
            return version, *_range_of(span, version.size)

        return bucket, opened(self.shelf, bucket, choose)

    def _require(self, call: Call, req: Params, action: str) -> None:
        """Of the source. What reads a version that is named has a name of its own."""
        name, key, version_id = parse_copy_source(req["CopySource"])
        named = {"VersionId": version_id} if version_id else {}
        if version_id:
            action = action.replace("Object", "ObjectVersion")
        self.doors.require(call, action, name, key, named)

    def _facts(self, call: Call, req: Params, source: Version) -> Facts:
        asked = requests.facts_of(req)
        facts = asked if req.get("MetadataDirective") == "REPLACE" else source.facts
        tags = asked.tags
        if req.get("TaggingDirective") != "REPLACE":
            tags = dict(source.facts.tags)
            if tags:
                self._require(call, req, "GetObjectTagging")
        if tags:
            self.doors.require(call, "PutObjectTagging", req["Bucket"], req["Key"], req)
        return replace(facts, tags=tags)


def _algorithm(req: Params, source: Version) -> str:
    """The one asked for, or else the source's own."""
    return str(req.get("ChecksumAlgorithm") or next(iter(source.facts.checksums), digests.DEFAULT))


def _range_of(span: str | None, size: int) -> tuple[int, int]:
    if span is None:
        _check_size(size)
        return 0, size
    given = _RANGE.fullmatch(span)
    first, last = (int(each) for each in given.groups()) if given else (1, 0)
    if first > last:
        raise errors.invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy",
            "x-amz-copy-source-range",
            span,
        )
    if last >= size:
        raise errors.invalid_argument(
            f"Range specified is not valid for source object of size: {size}",
            "x-amz-copy-source-range",
            span,
        )
    return first, last + 1


def _check_size(size: int) -> None:
    if size > PUT_SIZE_MAX:
        raise errors.invalid_request(
            "The specified copy source is larger than the maximum allowable size for a copy "
            f"source: {PUT_SIZE_MAX}"
        )


def _check_changes(req: Params, bucket: Bucket, source: Version, key: bytes) -> None:
    """A copy onto itself must name something to change, or the version to bring back."""
    same = source.bucket_id == bucket.id and source.key == key
    names_something = (
        req.get("MetadataDirective") == "REPLACE"
        or any(req.get(name) for name in ("StorageClass", "ServerSideEncryption"))
        or parse_copy_source(req["CopySource"])[2] is not None
    )
    if same and not names_something:
        raise errors.invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location "
            "or encryption attributes."
        )


def _source_version(bucket: Bucket, source: Opened) -> Params:
    return {"CopySourceVersionId": source.version.version_id} if bucket.versioning else {}

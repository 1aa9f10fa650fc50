"""Objects: put, get, head, delete."""

import base64
import hmac
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.kernel.arns import s3
from bastide.kernel.call import Call, Principal
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.store import conditions, errors, requests, shelf
from bastide.store.lookup import Wanted, found
from bastide.store.model import Blob, Bucket, Doomed, Params, Version
from bastide.store.names import check_version_id, key_bytes
from bastide.store.requests import (
    ACCEPTED,
    ENCRYPTION,
    FACT_MEMBERS,
    SEALED,
    Doors,
    checksum_members,
    moment,
    quoted,
)
from bastide.store.shelf import PUT_SIZE_MAX, NewObject, Removal, Removed, Shelf

DELETE_MAX = 1000
_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}
_READ_MEMBERS = (
    "Bucket", "Key", "VersionId", "Range", "PartNumber", "IfMatch", "IfNoneMatch",
    "IfModifiedSince", "IfUnmodifiedSince", "ExpectedBucketOwner", "ChecksumMode", *_OVERRIDES,
)  # fmt: skip
_PAYER = {"RequestPayer": ACCEPTED["RequestPayer"]}
_DELETE_ACCEPTED = {
    **_PAYER,
    "BypassGovernanceRetention": "nothing is retained here, so there is nothing to bypass",
}


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The part of a version that a read asks for."""

    version: Version
    start: int
    end: int
    is_partial: bool
    part: Blob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html"""

    shelf: Shelf
    doors: Doors

    @operation(
        "Body", "Bucket", "Key", "ContentLength", "ContentMD5", "ChecksumAlgorithm",
        *requests.checksum_names(), *FACT_MEMBERS, "IfMatch", "IfNoneMatch",
        "ExpectedBucketOwner", *ENCRYPTION, accepted={**ACCEPTED, **SEALED},
    )  # fmt: skip
    def put_object(self, call: Call, req: Params) -> Params:
        requests.refuse_values(call, req)
        key = key_bytes(req["Key"])
        bucket = self.doors.bucket(call, req)
        facts = replace(requests.facts_of(req), kms_key=requests.kms_key_of(req, bucket))
        if facts.tags:
            self.doors.require(call, "PutObjectTagging", bucket.name, req["Key"], req)
        check_declared(call, req)
        self.shelf.check_writes(call.principal, bucket, key, facts.kms_key)
        new = NewObject(
            who=call.principal, bucket=bucket, key=key, facts=facts,
            algorithms=requests.algorithms_of(call, req) - set(call.body.promised),
            if_match=req.get("IfMatch"), if_none_match=req.get("IfNoneMatch"),
            verify=lambda blob: verified(call, req, blob),
        )  # fmt: skip
        version = self.shelf.put(new, call.body)
        answer: Params = {"ETag": quoted(version.etag), **requests.encryption_members(facts)}
        answer |= checksum_members(version)
        return answer | version_member(version)

    @operation(*_READ_MEMBERS, accepted=_PAYER)
    def get_object(self, call: Call, req: Params) -> Params:
        bucket = self.doors.read_from(call, req)
        for _ in range(shelf.READ_TRIES):
            chosen = self._choose(call, req, bucket, "GET")
            self.shelf.check_reads(call.principal, bucket, chosen.version)
            reader = self.shelf.reader(bucket, chosen.version, chosen.start, chosen.end)
            if reader is not None:
                return {**_described(call, req, bucket, chosen), "Body": reader}
        raise shelf.replaced_too_often()

    @operation(*_READ_MEMBERS, accepted=_PAYER)
    def head_object(self, call: Call, req: Params) -> Params:
        bucket = self.doors.read_from(call, req)
        return _described(call, req, bucket, self._choose(call, req, bucket, "HEAD"))

    @operation(
        "Bucket", "Key", "VersionId", "IfMatch", "ExpectedBucketOwner", accepted=_DELETE_ACCEPTED
    )
    def delete_object(self, call: Call, req: Params) -> Params:
        key = key_bytes(req["Key"])
        bucket = self.doors.bucket(call, req)
        check_version_id(req.get("VersionId"))
        removed = self.shelf.remove(
            call.principal, bucket, key, req.get("VersionId"), req.get("IfMatch")
        )
        return _removed_members(removed)

    @operation(
        "Bucket", "Delete.Objects.Key", "Delete.Objects.VersionId", "Delete.Quiet",
        "ChecksumAlgorithm", "ExpectedBucketOwner", accepted=_DELETE_ACCEPTED,
    )  # fmt: skip
    def delete_objects(self, call: Call, req: Params) -> Params:
        wanted = req["Delete"].get("Objects") or []
        if not 1 <= len(wanted) <= DELETE_MAX:
            raise errors.malformed_xml()
        bucket = self.doors.bucket(call, req)
        failed, allowed = self._sorted_out(call, bucket, wanted)
        done, refused = self._remove_all(call.principal, bucket, allowed)
        failed += refused
        call.notes.audit |= {"deleted": str(len(done)), "refused": str(len(failed))}
        answer: Params = {} if req["Delete"].get("Quiet") else {"Deleted": done}
        return answer | ({"Errors": failed} if failed else {})

    def _sorted_out(
        self, call: Call, bucket: Bucket, wanted: list[Params]
    ) -> tuple[list[Params], list[Params]]:
        """Which keys may not be deleted, each with its error, and which may."""
        failed: list[Params] = []
        allowed: list[Params] = []
        of_latest = self.doors.access.standing(call, {})
        for each in wanted:
            action, standing = "s3:DeleteObject", of_latest
            if each.get("VersionId"):
                action = "s3:DeleteObjectVersion"
                standing = of_latest.of_version(each["VersionId"])
            try:
                key_bytes(each["Key"])
                check_version_id(each.get("VersionId"))
                if not standing.permits(action, s3(call.region, bucket.name, each["Key"])):
                    raise errors.access_denied()
            except ServiceError as error:
                failed.append(_refused(each, error))
            else:
                allowed.append(each)
        return failed, allowed

    def _remove_all(
        self, who: Principal, bucket: Bucket, wanted: list[Params]
    ) -> tuple[list[Params], list[Params]]:
        """All in one transaction, and so under one fsync. What was removed, and what not."""
        removals = [
            self.shelf.removal(who, bucket, key_bytes(each["Key"]), each.get("VersionId"))
            for each in wanted
        ]

        def one(connection: Connection, removal: Removal) -> Removed | ServiceError:
            try:
                removed, doomed = self.shelf.remove_one(connection, removal)
            except ServiceError as error:  # of this key alone, and nothing of it was done
                return error
            gone.extend(doomed)
            return removed

        def work(connection: Connection) -> list[Removed | ServiceError]:
            gone.clear()
            return [one(connection, removal) for removal in removals]

        gone: list[Doomed] = []
        ends = self.shelf.database.write(work) if wanted else []
        self.shelf.clear(gone)
        pairs = list(zip(wanted, ends, strict=True))
        done = [_deleted(each, end) for each, end in pairs if isinstance(end, Removed)]
        return done, [_refused(each, end) for each, end in pairs if isinstance(end, ServiceError)]

    def _choose(self, call: Call, req: Params, bucket: Bucket, method: str) -> _Chosen:
        wanted = Wanted(bucket, req["Key"], req.get("VersionId"))
        version = found(self.shelf, self.doors, call, wanted, method)
        conditions.check_read(call, conditions.of_read(req), version)
        number = req.get("PartNumber")
        if number is not None:
            return self._part(req, version, number)
        span = conditions.range_of(req.get("Range"), version.size)
        if span is None:
            return _Chosen(version, 0, version.size, is_partial=False)
        return _Chosen(version, *span, is_partial=True)

    def _part(self, req: Params, version: Version, number: int) -> _Chosen:
        if req.get("Range"):
            raise errors.invalid_request(
                "Cannot specify both Range header and partNumber query parameter"
            )
        if not 1 <= number <= max(1, version.parts):
            raise ServiceError(
                "InvalidPartNumber", "The requested partnumber is not satisfiable", status=416
            )
        if not version.parts:
            return _Chosen(version, 0, version.size, is_partial=version.size > 0)
        blobs = self.shelf.parts_of(version)
        start = sum(blob.size for blob in blobs[: number - 1])
        part = blobs[number - 1]
        return _Chosen(version, start, start + part.size, is_partial=part.size > 0, part=part)


def check_declared(call: Call, req: Params) -> None:
    """Refuse a body that says it is too large before reading any of it."""
    size = max(call.body.declared_size or 0, req.get("ContentLength") or 0)
    if size > PUT_SIZE_MAX:
        raise ServiceError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            status=400,
            members={"ProposedSize": str(size), "MaxSizeAllowed": str(PUT_SIZE_MAX)},
        )


def verified(call: Call, req: Params, blob: Blob) -> Blob:
    """The blob with the checksums that the client vouches for, or with the default one."""
    expected = req.get("ContentMD5")
    if expected:
        computed = base64.b64encode(bytes.fromhex(blob.etag)).decode()
        if not hmac.compare_digest(computed.encode(), expected.encode()):
            raise errors.bad_digest("The Content-MD5 you specified did not match what we received.")
    known = {**blob.checksums, **call.body.checksums}
    for name, value in requests.given_checksums(req).items():
        if known[name] != value:
            raise errors.bad_digest(
                f"The {name} you specified did not match the calculated checksum."
            )
    wanted = requests.algorithms_of(call, req)
    return replace(blob, checksums={name: known[name] for name in sorted(wanted)})


def version_member(version: Version) -> Params:
    """Only a version that can be asked for again is named."""
    return {} if version.version_id == "null" else {"VersionId": version.version_id}


def _described(call: Call, req: Params, bucket: Bucket, chosen: _Chosen) -> Params:
    version = chosen.version
    answer: Params = {
        "AcceptRanges": "bytes",
        "LastModified": moment(version.modified_ms),
        "ContentLength": chosen.end - chosen.start,
        "ETag": quoted(version.etag),
        **requests.encryption_members(version.facts),
        "Metadata": dict(version.facts.metadata),
        **requests.header_members(version),
    }
    answer |= {to: req[name] for name, to in _OVERRIDES.items() if req.get(name)}
    if bucket.versioning:
        answer["VersionId"] = version.version_id
    if chosen.is_partial:
        call.notes.status = 206
        answer["ContentRange"] = f"bytes {chosen.start}-{chosen.end - 1}/{version.size}"
    if chosen.part is not None:
        answer["PartsCount"] = version.parts
    if version.facts.tags:
        answer["TagCount"] = len(version.facts.tags)
    if req.get("ChecksumMode") == "ENABLED":
        answer |= _checksums_of(chosen)
    return answer


def _checksums_of(chosen: _Chosen) -> Params:
    """Of a whole object, or of a part that was asked for by its number; a range has none."""
    version = chosen.version
    if chosen.part is not None:
        sums = requests.part_checksum_members(version, chosen.part)
        return {**sums, "ChecksumType": version.facts.checksum_type}
    is_whole = chosen.end - chosen.start == version.size
    return checksum_members(version) if is_whole else {}


def _removed_members(removed: Removed) -> Params:
    answer: Params = {"DeleteMarker": True} if removed.is_marker else {}
    return answer | ({"VersionId": removed.version_id} if removed.version_id else {})


def _refused(asked: Params, error: ServiceError) -> Params:
    return {**asked, "Code": error.code, "Message": error.message}


def _deleted(asked: Params, removed: Removed) -> Params:
    answer: Params = {"Key": asked["Key"]}
    if asked.get("VersionId"):
        answer["VersionId"] = asked["VersionId"]
    if removed.is_marker:
        answer |= {"DeleteMarker": True, "DeleteMarkerVersionId": removed.version_id}
    return answer

"""Multipart uploads. Parts are sealed for the object that they will be, so that completing an
upload moves no bytes: the parts' rows become the object's."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from bastide.db import derivation_records
from bastide.db.derivations import Thing
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import epoch_ms
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation
from bastide.store import assembly, bucket_records, digests, errors, records, requests
from bastide.store.content import Source
from bastide.store.digests import DEFAULT, FULL_OBJECT
from bastide.store.listing import limit_of
from bastide.store.model import Blob, Bucket, Doomed, Facts, Params, Upload, Version
from bastide.store.names import key_bytes, shown, text_bytes
from bastide.store.objects import check_declared, verified
from bastide.store.pages import PAGE_MAX, Page, span_after, walk
from bastide.store.records import Span
from bastide.store.requests import (
    ACCEPTED,
    ENCRYPTION,
    FACT_MEMBERS,
    SEALED,
    Doors,
    moment,
    owner_of,
    quoted,
)
from bastide.store.sealed import Place
from bastide.store.shelf import PARTS_MAX, PUT_SIZE_MAX, NewObject, Shelf

_PAYER = {"RequestPayer": ACCEPTED["RequestPayer"]}
_NAMED = ("Bucket", "Key", "UploadId", "ExpectedBucketOwner")
_PARTS = tuple(f"MultipartUpload.Parts.{name}" for name in requests.checksum_names())


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipart:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html"""

    shelf: Shelf
    doors: Doors

    @operation(
        "Bucket", "Key", *FACT_MEMBERS, "ChecksumAlgorithm", "ChecksumType",
        "ExpectedBucketOwner", *ENCRYPTION, accepted={**ACCEPTED, **SEALED},
    )  # fmt: skip
    def create_multipart_upload(self, call: Call, req: Params) -> Params:
        requests.refuse_values(call, req)
        key, (algorithm, kind) = key_bytes(req["Key"]), _checksum_of(req)
        bucket = self.doors.bucket(call, req)
        facts = replace(requests.facts_of(req), kms_key=requests.kms_key_of(req, bucket))
        self.shelf.check_writes(call.principal, bucket, key, facts.kms_key)
        if facts.tags:
            self.doors.require(call, "PutObjectTagging", bucket.name, req["Key"], req)
        upload = Upload(
            id=self.shelf.ids.uuid(), bucket_id=bucket.id, key=key,
            initiated_ms=epoch_ms(self.shelf.clock.now()), initiator=call.principal.arn,
            label=self._label(call, bucket, facts),
            algorithm=algorithm, checksum_type=kind, facts=facts,
        )  # fmt: skip

        def work(connection: Connection) -> None:
            if not bucket_records.now(connection, bucket):
                raise errors.no_such_bucket(bucket.name)
            self.shelf.check_alters(call.principal, "s3:PutObject", upload, bucket, is_new=True)
            records.add_upload(connection, upload)

        self.shelf.database.write(work)
        answer = {"Bucket": bucket.name, "Key": req["Key"], "UploadId": upload.id}
        return answer | requests.encryption_members(facts) | _checksum_members(upload)

    @operation(
        *_NAMED, "Body", "PartNumber", "ContentLength", "ContentMD5", "ChecksumAlgorithm",
        *requests.checksum_names(), accepted=_PAYER,
    )  # fmt: skip
    def upload_part(self, call: Call, req: Params) -> Params:
        requests.refuse_values(call, req)
        check_declared(call, req)
        bucket = self.doors.bucket(call, req)

        part = NewPart(
            who=call.principal, bucket=bucket, source=call.body,
            algorithms=requests.algorithms_of(call, req),
            promised=call.body.promised,
            verify=lambda blob: replace(
                blob, checksums={**blob.checksums, **verified(call, req, blob).checksums}
            ),
        )  # fmt: skip
        blob, upload = store_part(self.shelf, req, part)
        answer: Params = {"ETag": quoted(blob.etag), **requests.encryption_members(upload.facts)}
        return answer | digests.members(verified(call, req, blob).checksums)

    @operation(
        *_NAMED, "MultipartUpload.Parts.ETag", "MultipartUpload.Parts.PartNumber", *_PARTS,
        *requests.checksum_names(), "ChecksumType", "MpuObjectSize", "IfMatch", "IfNoneMatch",
        accepted=_PAYER,
    )  # fmt: skip
    def complete_multipart_upload(self, call: Call, req: Params) -> Params:
        asked = assembly.asked_parts(req)
        bucket = self.doors.bucket(call, req)
        new = NewObject(
            who=call.principal, bucket=bucket, key=key_bytes(req["Key"]),
            facts=requests.facts_of({}),
            if_match=req.get("IfMatch"), if_none_match=req.get("IfNoneMatch"),
        )  # fmt: skip
        fresh = self.shelf.version_of(bucket, new.key, req["UploadId"], "", new.facts)

        def work(connection: Connection) -> tuple[Version, list[Doomed]]:
            upload = records.find_upload(
                connection, bucket, new.key, req["UploadId"], (bucket.view.own,)
            )
            if upload is None:
                return _completed_before(connection, bucket, fresh), []
            parts = records.parts_of(connection, upload.id, 0, PARTS_MAX)
            version, dropped = assembly.assembled(req, asked, upload, parts, fresh)
            placed, doomed = self.shelf.add(connection, new, version)
            doomed.append(records.forget_parts(connection, upload.id, dropped))
            records.drop_upload(connection, upload)
            of = _sources(connection, bucket, upload, parts, dropped)
            made = self.shelf.thing(bucket, placed)
            derivation_records.put(connection, bucket.account, made, of)
            return placed, doomed

        version, doomed = self.shelf.database.write(work)
        self.shelf.clear(doomed)
        answer: Params = {
            "Location": f"https://{bucket.name}.s3.{call.region.name}."
            f"{call.region.dns_suffix}/{shown(new.key, 'url')}",
            "Bucket": bucket.name, "Key": req["Key"], "ETag": quoted(version.etag),
            **requests.encryption_members(version.facts),
        }  # fmt: skip
        if version.version_id != "null":
            answer["VersionId"] = version.version_id
        return answer | requests.checksum_members(version)

    @operation(*_NAMED, accepted=_PAYER)
    def abort_multipart_upload(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)

        def work(connection: Connection) -> Doomed:
            upload = own_upload(connection, bucket, req)
            self.shelf.check_alters(call.principal, "s3:AbortMultipartUpload", upload, bucket)
            parts = records.parts_of(connection, upload.id, 0, PARTS_MAX)
            _sources(connection, bucket, upload, parts, [])
            return records.end_upload(connection, upload)

        self.shelf.clear([self.shelf.database.write(work)])
        return {}

    @operation(*_NAMED, "MaxParts", "PartNumberMarker", accepted=_PAYER)
    def list_parts(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)
        limit, after = limit_of(req, "MaxParts"), int(req.get("PartNumberMarker") or 0)

        def work(connection: Connection) -> tuple[Upload, list[Blob]]:
            upload = upload_of(connection, bucket, req, bucket.view.seen)
            return upload, records.parts_of(connection, upload.id, after, limit + 1)

        upload, parts = self.shelf.database.read(work)
        shown_parts = parts[:limit]
        answer: Params = {
            "Bucket": bucket.name, "Key": req["Key"], "UploadId": upload.id,
            "PartNumberMarker": after, "MaxParts": limit, "IsTruncated": len(parts) > limit,
            "NextPartNumberMarker": shown_parts[-1].part if shown_parts else after,
            "Parts": [_part(upload, part) for part in shown_parts],
            "Initiator": {"ID": upload.initiator}, "Owner": owner_of(call.account),
            "StorageClass": "STANDARD",
        }  # fmt: skip
        return answer | _checksum_members(upload)

    @operation(
        "Bucket", "Delimiter", "EncodingType", "KeyMarker", "MaxUploads", "Prefix",
        "UploadIdMarker", "ExpectedBucketOwner", accepted=_PAYER,
    )  # fmt: skip
    def list_multipart_uploads(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)
        encoding = req.get("EncodingType")
        page = self._uploads_page(bucket, req)
        owner = owner_of(call.account)
        answer: Params = {
            "Bucket": bucket.name, "MaxUploads": limit_of(req, "MaxUploads"),
            "Prefix": shown(text_bytes(req.get("Prefix") or ""), encoding),
            "KeyMarker": shown(text_bytes(req.get("KeyMarker") or ""), encoding),
            "UploadIdMarker": req.get("UploadIdMarker") or "", "IsTruncated": page.is_truncated,
            "Uploads": [_upload(each, encoding, owner) for each in page.items],
            "CommonPrefixes": [{"Prefix": shown(each, encoding)} for each in page.prefixes],
        }  # fmt: skip
        if req.get("Delimiter"):
            answer["Delimiter"] = shown(text_bytes(req["Delimiter"]), encoding)
        if encoding:
            answer["EncodingType"] = encoding
        if page.is_truncated:
            answer["NextKeyMarker"] = shown(page.last, encoding)
            if page.items and page.items[-1].key == page.last:
                answer["NextUploadIdMarker"] = page.items[-1].id
        return answer

    def _label(self, call: Call, bucket: Bucket, facts: Facts) -> str:
        """An upload goes on, so it has its session's own label: a part that is above could not be
        told to be there."""
        label = self.shelf.label_of_new(bucket, facts)
        if label != bucket.view.session:
            raise unsupported(call.operation, f"An object above the session's {bucket.view.own}")
        return self.shelf.labels.use(label)

    def _uploads_page(self, bucket: Bucket, req: Params) -> Page[Upload]:
        prefix = text_bytes(req.get("Prefix") or "")
        delimiter = text_bytes(req.get("Delimiter") or "")
        key, upload_id = text_bytes(req.get("KeyMarker") or ""), req.get("UploadIdMarker")
        behind_id = (key, upload_id) if key and upload_id else None

        def work(connection: Connection) -> Page[Upload]:
            def fetch(span: Span, within: Upload | None, limit: int) -> list[Upload]:
                at = (within.key, within.id) if within else None
                at = at or (behind_id if span.start == b"" else None)
                return records.listed_uploads(connection, bucket, span, at, limit)

            span = Span(prefix=prefix) if behind_id else span_after(prefix, delimiter, key)
            return walk(fetch, span, delimiter, min(limit_of(req, "MaxUploads"), PAGE_MAX))

        return self.shelf.database.read(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPart:
    """What is about to be a part: `promised` are the checksums that its source verifies itself,
    `copied` is what it is a copy of."""

    who: Principal
    bucket: Bucket
    source: Source
    algorithms: Collection[str] = ()
    promised: Collection[str] = ()
    copied: Thing | None = None
    verify: Callable[[Blob], Blob] = field(default=lambda blob: blob)


def store_part(shelf: Shelf, req: Params, part: NewPart) -> tuple[Blob, Upload]:
    """Seal one part; it replaces the part of the same number."""
    number = req["PartNumber"]
    if not 1 <= number <= PARTS_MAX:
        raise errors.invalid_argument(
            "Part number must be an integer between 1 and 10000, inclusive",
            "partNumber",
            str(number),
        )
    bucket = part.bucket
    upload = shelf.database.read(lambda c: own_upload(c, bucket, req))
    place = Place(
        account=bucket.account, label=upload.label, bucket=bucket.name, key=upload.key,
        object_id=upload.id, part=number,
    )  # fmt: skip
    algorithms = {upload.algorithm or DEFAULT, *part.algorithms} - set(part.promised)
    kms_key = upload.facts.kms_key
    shelf.check_writes(part.who, bucket, upload.key, kms_key)
    stored = shelf.content.store(place, part.source, algorithms, PUT_SIZE_MAX, kms_key)

    def work(connection: Connection) -> Doomed:
        upload = own_upload(connection, bucket, req)
        shelf.check_alters(part.who, "s3:PutObject", upload, bucket)
        shelf.content.check_opens(blob)
        sources = [] if part.copied is None else [part.copied]
        derivation_records.put(connection, bucket.account, coming(upload, number), sources)
        return records.replace_part(connection, blob)

    try:
        blob = part.verify(stored)
        doomed = shelf.database.write(work)
    except ServiceError:
        shelf.content.discard(stored)
        raise
    shelf.clear([doomed])
    return blob, upload


def coming(upload: Upload, number: int) -> Thing:
    """A part of what an upload will be, while that has no name of its own. Each part is of one
    thing at most: so what an upload is of has a bound, and a part costs the same however many."""
    return Thing(f"upload/{upload.id}/{number}", upload.label)


def _sources(
    connection: Connection,
    bucket: Bucket,
    upload: Upload,
    parts: Sequence[Blob],
    dropped: Collection[int],
) -> list[Thing]:
    """What the parts of an upload that ends were copies of, but for those dropped."""
    gathered, left_out = derivation_records.gathered, frozenset(dropped)
    gathered(connection, bucket.account, [coming(upload, each) for each in dropped])
    used = [coming(upload, each.part) for each in parts if each.part not in left_out]
    return gathered(connection, bucket.account, used)


def upload_of(connection: Connection, bucket: Bucket, req: Params, labels: Sequence[str]) -> Upload:
    key, upload_id = key_bytes(req["Key"]), req["UploadId"]
    found = records.find_upload(connection, bucket, key, upload_id, labels)
    if found is None:
        raise errors.no_such_upload(upload_id)
    return found


def own_upload(connection: Connection, bucket: Bucket, req: Params) -> Upload:
    """One that the bucket's viewer may go on with."""
    return upload_of(connection, bucket, req, (bucket.view.own,))


def _completed_before(connection: Connection, bucket: Bucket, fresh: Version) -> Version:
    """A Complete that is sent again, its answer having been lost, is answered again: to whom sees
    what it made."""
    found = records.version_of_object(connection, fresh.bucket_id, fresh.key, fresh.object_id)
    if found is None or found.label not in bucket.view.seen:
        raise errors.no_such_upload(fresh.object_id)
    return found


def _checksum_of(req: Params) -> tuple[str, str]:
    """Without a word from the client, CRC64NVME over the whole object, as S3 does."""
    algorithm = req.get("ChecksumAlgorithm") or ""
    kind = req.get("ChecksumType") or digests.kind_of(algorithm or DEFAULT)
    if not algorithm and req.get("ChecksumType"):
        raise errors.invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm "
            "header."
        )
    if not digests.is_kind_possible(algorithm or DEFAULT, kind):
        raise errors.invalid_request(
            f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm."
        )
    return algorithm, kind if algorithm else FULL_OBJECT


def _checksum_members(upload: Upload) -> Params:
    if not upload.algorithm:
        return {}
    return {"ChecksumAlgorithm": upload.algorithm, "ChecksumType": upload.checksum_type}


def _part(upload: Upload, part: Blob) -> Params:
    sums: Sequence[str] = [upload.algorithm or DEFAULT]
    known = {name: part.checksums[name] for name in sums if name in part.checksums}
    return {
        "PartNumber": part.part,
        "LastModified": moment(part.modified_ms),
        "ETag": quoted(part.etag),
        "Size": part.size,
        **digests.members(known),
    }


def _upload(upload: Upload, encoding: str | None, owner: Params) -> Params:
    return {
        "Key": shown(upload.key, encoding),
        "UploadId": upload.id,
        "Initiated": moment(upload.initiated_ms),
        "StorageClass": "STANDARD",
        "Owner": owner,
        "Initiator": {"ID": upload.initiator},
        **_checksum_members(upload),
    }

"""ListObjects, its second version, and ListObjectVersions."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.kernel.call import Call
from bastide.kernel.operation import operation
from bastide.store import errors, names, records
from bastide.store.model import Bucket, Params, Version
from bastide.store.names import shown, text_bytes
from bastide.store.pages import PAGE_MAX, Page, span_after, walk
from bastide.store.ports import Keyring
from bastide.store.records import Span
from bastide.store.requests import ACCEPTED, Doors, moment, owner_of, quoted

_TOKEN = "s3.objects"  # noqa: S105 - the purpose of a token, not one
_PAYER = {"RequestPayer": ACCEPTED["RequestPayer"]}
_COMMON = ("Bucket", "Delimiter", "EncodingType", "MaxKeys", "Prefix", "ExpectedBucketOwner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and its siblings"""

    database: Database
    doors: Doors
    keyring: Keyring

    @operation(*_COMMON, "Marker", accepted=_PAYER)
    def list_objects(self, call: Call, req: Params) -> Params:
        bucket = self.doors.read_from(call, req)
        marker = req.get("Marker") or ""
        page = self._page(bucket, req, text_bytes(marker))
        owner = owner_of(bucket.account)
        encoding = req.get("EncodingType")
        answer = _framed(req, page) | {
            "Marker": shown(text_bytes(marker), encoding),
            "Contents": [{**_content(each, encoding), "Owner": owner} for each in page.items],
        }
        if page.is_truncated and req.get("Delimiter"):
            answer["NextMarker"] = shown(page.last, encoding)
        return answer

    @operation(*_COMMON, "ContinuationToken", "FetchOwner", "StartAfter", accepted=_PAYER)
    def list_objects_v2(self, call: Call, req: Params) -> Params:
        bucket = self.doors.read_from(call, req)
        encoding = req.get("EncodingType")
        token, start_after = req.get("ContinuationToken"), req.get("StartAfter") or ""
        after = text_bytes(start_after) if token is None else self._opened(bucket, token)
        page = self._page(bucket, req, after)
        owner = {"Owner": owner_of(bucket.account)} if req.get("FetchOwner") else {}
        answer = _framed(req, page) | {
            "KeyCount": len(page),
            "Contents": [{**_content(each, encoding), **owner} for each in page.items],
        }
        if token is not None:
            answer["ContinuationToken"] = token
        if start_after:
            answer["StartAfter"] = shown(text_bytes(start_after), encoding)
        if page.is_truncated:
            sealed = self.keyring.seal(_TOKEN, page.last, bucket.id.encode())
            answer["NextContinuationToken"] = names.page_token(sealed)
        return answer

    @operation(*_COMMON, "KeyMarker", "VersionIdMarker", accepted=_PAYER)
    def list_object_versions(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)
        encoding = req.get("EncodingType")
        page = self._versions_page(bucket, req)
        owner = owner_of(call.account)
        entries = [(each, _entry(each, encoding, owner)) for each in page.items]
        answer = _framed(req, page) | {
            "KeyMarker": shown(text_bytes(req.get("KeyMarker") or ""), encoding),
            "VersionIdMarker": req.get("VersionIdMarker") or "",
            "Versions": [entry for each, entry in entries if not each.is_marker],
            "DeleteMarkers": [entry for each, entry in entries if each.is_marker],
        }
        if page.is_truncated:
            answer["NextKeyMarker"] = shown(page.last, encoding)
            if page.items and page.items[-1].key == page.last:
                answer["NextVersionIdMarker"] = page.items[-1].version_id
        return answer

    def _page(self, bucket: Bucket, req: Params, after: bytes) -> Page[Version]:
        prefix, delimiter = _prefix_and_delimiter(req)

        def work(connection: Connection) -> Page[Version]:
            def fetch(span: Span, within: Version | None, limit: int) -> list[Version]:
                if within is not None:
                    span = replace(span, after=within.key)
                return records.listed(connection, bucket, span, limit)

            span = span_after(prefix, delimiter, after)
            return walk(fetch, span, delimiter, limit_of(req, "MaxKeys"))

        return self.database.read(work)

    def _versions_page(self, bucket: Bucket, req: Params) -> Page[Version]:
        prefix, delimiter = _prefix_and_delimiter(req)
        key = text_bytes(req.get("KeyMarker") or "")
        version_id = req.get("VersionIdMarker")
        if version_id and not key:
            raise errors.invalid_argument(
                "A version-id marker cannot be specified without a key marker."
            )

        def work(connection: Connection) -> Page[Version]:
            first = None
            if version_id:
                first = records.version(connection, bucket, key, version_id)

            def fetch(span: Span, within: Version | None, limit: int) -> list[Version]:
                at = within or (first if span.start == b"" else None)
                behind = None if at is None else (at.key, at.rank)
                return records.listed_versions(connection, bucket, span, behind, limit)

            span = Span(prefix=prefix) if first else span_after(prefix, delimiter, key)
            return walk(fetch, span, delimiter, limit_of(req, "MaxKeys"))

        return self.database.read(work)

    def _opened(self, bucket: Bucket, token: str) -> bytes:
        try:
            sealed = names.parse_page_token(token)
            return self.keyring.open(_TOKEN, sealed, bucket.id.encode())
        except ValueError:
            raise errors.invalid_argument(
                "The continuation token provided is incorrect", "continuation-token"
            ) from None


def limit_of(req: Params, member: str) -> int:
    asked = req.get(member)
    if asked is None:
        return PAGE_MAX
    if asked < 0:
        raise errors.invalid_argument(f"Argument {member} must not be negative", member, str(asked))
    return min(int(asked), PAGE_MAX)


def prefixes_of(page: Page[Version], encoding: str | None) -> list[Params]:
    return [{"Prefix": shown(prefix, encoding)} for prefix in page.prefixes]


def _framed(req: Params, page: Page[Version]) -> Params:
    encoding = req.get("EncodingType")
    answer: Params = {
        "Name": req["Bucket"],
        "Prefix": shown(text_bytes(req.get("Prefix") or ""), encoding),
        "MaxKeys": limit_of(req, "MaxKeys"),
        "IsTruncated": page.is_truncated,
        "CommonPrefixes": prefixes_of(page, encoding),
    }
    if req.get("Delimiter"):
        answer["Delimiter"] = shown(text_bytes(req["Delimiter"]), encoding)
    if encoding:
        answer["EncodingType"] = encoding
    return answer


def _prefix_and_delimiter(req: Params) -> tuple[bytes, bytes]:
    return text_bytes(req.get("Prefix") or ""), text_bytes(req.get("Delimiter") or "")


def _content(version: Version, encoding: str | None) -> Params:
    return {
        "Key": shown(version.key, encoding),
        "LastModified": moment(version.modified_ms),
        "ETag": quoted(version.etag),
        "Size": version.size,
        "StorageClass": "STANDARD",
    }


def _entry(version: Version, encoding: str | None, owner: Params) -> Params:
    common = {
        "Key": shown(version.key, encoding),
        "VersionId": version.version_id,
        "IsLatest": version.is_latest,
        "LastModified": moment(version.modified_ms),
        "Owner": owner,
    }
    return common if version.is_marker else {**_content(version, encoding), **common}

"""GetObjectAttributes: what a HEAD tells, and the parts, as a document."""

from collections.abc import Sequence
from dataclasses import dataclass

from bastide.kernel.call import Call
from bastide.kernel.operation import operation
from bastide.store import errors
from bastide.store.listing import limit_of
from bastide.store.lookup import Wanted, found
from bastide.store.model import Blob, Params, Version
from bastide.store.requests import ACCEPTED, Doors, checksum_members, moment, part_checksum_members
from bastide.store.shelf import Shelf

_NAMES = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html"""

    shelf: Shelf
    doors: Doors

    @operation(
        "Bucket", "Key", "VersionId", "ObjectAttributes", "MaxParts", "PartNumberMarker",
        "ExpectedBucketOwner", accepted={"RequestPayer": ACCEPTED["RequestPayer"]},
    )  # fmt: skip
    def get_object_attributes(self, call: Call, req: Params) -> Params:
        asked = req["ObjectAttributes"]
        if not asked or not _NAMES.issuperset(asked):
            raise errors.invalid_argument("Invalid attribute name specified.")
        bucket = self.doors.read_from(call, req)
        wanted = Wanted(bucket, req["Key"], req.get("VersionId"))
        version = found(self.shelf, self.doors, call, wanted, "GET")
        answer: Params = {"LastModified": moment(version.modified_ms)}
        if bucket.versioning:
            answer["VersionId"] = version.version_id
        values: Params = {
            "ETag": version.etag,
            "Checksum": checksum_members(version),
            "StorageClass": "STANDARD",
            "ObjectSize": version.size,
        }
        if version.parts and "ObjectParts" in asked:
            values["ObjectParts"] = _parts(req, version, self.shelf.parts_of(version))
        return answer | {
            name: value for name, value in values.items() if name in asked and value != {}
        }


def _parts(req: Params, version: Version, blobs: Sequence[Blob]) -> Params:
    after, limit = int(req.get("PartNumberMarker") or 0), limit_of(req, "MaxParts")
    behind = [(number, blob) for number, blob in enumerate(blobs, 1) if number > after]
    shown = behind[:limit]
    return {
        "TotalPartsCount": version.parts,
        "PartNumberMarker": after,
        "NextPartNumberMarker": shown[-1][0] if shown else 0,
        "MaxParts": limit,
        "IsTruncated": len(behind) > limit,
        "Parts": [_part(version, number, blob) for number, blob in shown],
    }


def _part(version: Version, number: int, blob: Blob) -> Params:
    return {"PartNumber": number, "Size": blob.size, **part_checksum_members(version, blob)}

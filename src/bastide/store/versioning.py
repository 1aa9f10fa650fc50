"""Whether a bucket keeps old versions. Once it has, it never was unversioned again."""

from dataclasses import dataclass

from bastide.db.database import Database
from bastide.kernel.call import Call
from bastide.kernel.operation import operation
from bastide.store import bucket_records, errors
from bastide.store.model import Params
from bastide.store.requests import Doors


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioning:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html"""

    database: Database
    doors: Doors

    @operation(
        "Bucket", "VersioningConfiguration.Status", "ContentMD5", "ChecksumAlgorithm",
        "ExpectedBucketOwner",
    )  # fmt: skip
    def put_bucket_versioning(self, call: Call, req: Params) -> Params:
        status = req["VersioningConfiguration"].get("Status")
        if status not in ("Enabled", "Suspended"):
            raise errors.malformed_xml()
        bucket = self.doors.own(call, req)
        self.database.write(lambda c: bucket_records.change(c, bucket.id, versioning=status))
        return {}

    @operation("Bucket", "ExpectedBucketOwner")
    def get_bucket_versioning(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)
        return {"Status": bucket.versioning} if bucket.versioning else {}

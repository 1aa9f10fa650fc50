"""Bucket policies: what they mean is the policy context's business."""

import json
from dataclasses import dataclass

from bastide.db.database import Database
from bastide.kernel.arns import s3
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.store import bucket_records, errors
from bastide.store.model import Params
from bastide.store.names import text_bytes
from bastide.store.ports import PolicyDocuments
from bastide.store.requests import Doors

POLICY_SIZE_MAX = 20 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPolicies:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html"""

    database: Database
    doors: Doors
    documents: PolicyDocuments

    @operation(
        "Bucket", "Policy", "ContentMD5", "ChecksumAlgorithm", "ExpectedBucketOwner",
        accepted={
            "ConfirmRemoveSelfBucketAccess": "asks to skip a check that is not made here either",
        },
    )  # fmt: skip
    def put_bucket_policy(self, call: Call, req: Params) -> Params:
        document = req["Policy"]
        if len(text_bytes(document)) > POLICY_SIZE_MAX:
            raise _malformed("The policy is larger than 20 KB.")
        try:
            parsed = json.loads(document)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise _malformed("Policies must be valid JSON and the first byte must be '{'")
        bucket = self.doors.own(call, req)
        arn = s3(call.region, bucket.name)
        kept = self.documents.checked(call.account, arn, document)
        self.database.write(lambda c: bucket_records.change(c, bucket.id, policy=kept))
        self.documents.changed(call.account, bucket.name)
        call.notes.status = 204
        return {}

    @operation("Bucket", "ExpectedBucketOwner")
    def get_bucket_policy(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)
        if bucket.policy is None:
            raise errors.no_such_policy(bucket.name)
        return {"Policy": self.documents.shown(call.account, bucket.policy)}

    @operation("Bucket", "ExpectedBucketOwner")
    def delete_bucket_policy(self, call: Call, req: Params) -> Params:
        bucket = self.doors.own(call, req)
        self.database.write(lambda c: bucket_records.change(c, bucket.id, policy=None))
        self.documents.changed(call.account, bucket.name)
        return {}


def _malformed(message: str) -> ServiceError:
    return ServiceError("MalformedPolicy", message, status=400)

"""What a bucket's objects are sealed under when nothing else is said.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-encryption.html. Every object is sealed
under its agency's own key for its label, which is AES256; a KMS key comes on top of that.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.operation import operation
from bastide.store import bucket_records, errors
from bastide.store.model import Bucket, Params
from bastide.store.requests import Doors
from bastide.store.shelf import Shelf

_READ = ("Bucket", "ExpectedBucketOwner")
_RULE = "ServerSideEncryptionConfiguration.Rules"
_DEFAULT = f"{_RULE}.ApplyServerSideEncryptionByDefault"


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketEncryption:
    shelf: Shelf
    doors: Doors

    @operation(*_READ)
    def get_bucket_encryption(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)
        default: Params = {"SSEAlgorithm": "AES256"}
        if bucket.kms_key:
            default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": bucket.kms_key}
        rule = {
            "ApplyServerSideEncryptionByDefault": default,
            "BucketKeyEnabled": bucket.bucket_key,
        }
        return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}

    @operation(
        *_READ, "ContentMD5", "ChecksumAlgorithm", f"{_DEFAULT}.SSEAlgorithm",
        f"{_DEFAULT}.KMSMasterKeyID", f"{_RULE}.BucketKeyEnabled",
    )  # fmt: skip
    def put_bucket_encryption(self, call: Call, req: Params) -> Params:
        bucket = self.doors.own(call, req)
        rules = req["ServerSideEncryptionConfiguration"]["Rules"]
        if len(rules) != 1:
            raise errors.malformed_xml()
        default = rules[0].get("ApplyServerSideEncryptionByDefault") or {}
        algorithm, named = default.get("SSEAlgorithm"), default.get("KMSMasterKeyID")
        if algorithm not in ("AES256", "aws:kms") or (named and algorithm != "aws:kms"):
            raise errors.malformed_xml()
        if algorithm == "aws:kms" and not named:
            raise errors.invalid_request("There is no key aws/s3 here: name one of your own.")
        kms_key = self._key(call, named) if named else ""
        self._set(bucket, kms_key, bool(rules[0].get("BucketKeyEnabled")))
        return {}

    @operation(*_READ)
    def delete_bucket_encryption(self, call: Call, req: Params) -> Params:
        """Back to S3's default, which it always has."""
        self._set(self.doors.own(call, req), "", False)
        return {}

    def _key(self, call: Call, named: str) -> str:
        """As on AWS, not whether the key is there, which an upload hears. But what can name none of
        the agency's keys here would refuse every upload from now on."""
        keys = self.shelf.content.object_keys
        arn = keys.arn(call.principal, named)
        if not keys.could_be(call.principal, arn):
            message = "It names no key of this account in this region."
            raise errors.invalid_argument(message, "KMSMasterKeyID", named)
        return arn

    def _set(self, bucket: Bucket, kms_key: str, bucket_key: bool) -> None:
        def work(connection: Connection) -> None:
            change = bucket_records.change
            change(connection, bucket.id, kms_key=kms_key, bucket_key=bucket_key)

        self.shelf.database.write(work)

"""Tags of buckets and of objects."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.labels.labelling import TAG
from bastide.kernel.operation import operation
from bastide.store import bucket_records, errors, records
from bastide.store.lookup import Wanted, found
from bastide.store.model import Params, Version
from bastide.store.ports import PolicyDocuments
from bastide.store.requests import (
    ACCEPTED,
    BUCKET_TAGS_MAX,
    OBJECT_TAGS_MAX,
    Doors,
    checked_tags,
)
from bastide.store.shelf import Shelf

_PAYER = {"RequestPayer": ACCEPTED["RequestPayer"]}
_WRITE = (
    "Bucket", "Tagging.TagSet", "ContentMD5", "ChecksumAlgorithm", "ExpectedBucketOwner",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagging:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html"""

    shelf: Shelf
    doors: Doors
    documents: PolicyDocuments

    @operation(*_WRITE, "Key", "VersionId", accepted=_PAYER)
    def put_object_tagging(self, call: Call, req: Params) -> Params:
        tags = checked_tags(req["Tagging"].get("TagSet") or [], OBJECT_TAGS_MAX)
        return self._set(call, req, "s3:PutObjectTagging", tags)

    @operation("Bucket", "Key", "VersionId", "ExpectedBucketOwner", accepted=_PAYER)
    def get_object_tagging(self, call: Call, req: Params) -> Params:
        bucket = self.doors.read_from(call, req)
        wanted = Wanted(bucket, req["Key"], req.get("VersionId"))
        version = found(self.shelf, self.doors, call, wanted, "GET")
        answer: Params = {"TagSet": _tag_set(version.facts.tags)}
        return answer | ({"VersionId": version.version_id} if bucket.versioning else {})

    @operation("Bucket", "Key", "VersionId", "ExpectedBucketOwner")
    def delete_object_tagging(self, call: Call, req: Params) -> Params:
        return self._set(call, req, "s3:DeleteObjectTagging", {})

    @operation(*_WRITE)
    def put_bucket_tagging(self, call: Call, req: Params) -> Params:
        tags = checked_tags(req["Tagging"].get("TagSet") or [], BUCKET_TAGS_MAX)
        bucket = self.doors.own(call, req)
        label = self._raised(bucket.label, tags)
        self.shelf.database.write(
            lambda c: bucket_records.change(c, bucket.id, tags=tags, label=label)
        )
        self.documents.changed(call.account, bucket.name)  # who saw it may see it no more
        call.notes.status = 204
        return {}

    @operation("Bucket", "ExpectedBucketOwner")
    def get_bucket_tagging(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)
        if not bucket.tags:
            raise ServiceError(
                "NoSuchTagSet",
                "The TagSet does not exist",
                status=404,
                members={"BucketName": bucket.name},
            )
        return {"TagSet": _tag_set(bucket.tags)}

    @operation("Bucket", "ExpectedBucketOwner")
    def delete_bucket_tagging(self, call: Call, req: Params) -> Params:
        bucket = self.doors.own(call, req)
        self.shelf.database.write(lambda c: bucket_records.change(c, bucket.id, tags={}))
        return {}

    def _raised(self, now: str, tags: Mapping[str, str]) -> str:
        """The label that tags ask for; a lower one is for two people to grant."""
        if TAG not in tags:
            return now
        labelling = self.shelf.labelling
        asked = labelling.parse(tags[TAG], "InvalidTag")
        if not asked.dominates(labelling.scheme.parse(now)):
            raise ServiceError("AccessDenied", f"{asked} is below {now}.", status=403)
        return self.shelf.labels.use(asked)

    def _set(self, call: Call, req: Params, action: str, tags: Mapping[str, str]) -> Params:
        bucket = self.doors.bucket(call, req)
        wanted = Wanted(bucket, req["Key"], req.get("VersionId"))
        version = found(self.shelf, self.doors, call, wanted, "PUT")
        if self._raised(version.label, tags) != version.label:
            raise unsupported(call.operation, f"Another {TAG} for what is sealed under its label")
        if version.label != bucket.view.own:
            raise errors.access_denied()

        def work(connection: Connection) -> Version | None:
            now = records.version(connection, bucket, version.key, version.version_id)
            if now is not None and now.label != bucket.view.own:  # a lower one of the same name
                now = None
            if now is not None:
                self.shelf.check_alters(call.principal, action, now, bucket)
                records.set_tags(connection, now, replace(now.facts, tags=tags))
            return now

        if self.shelf.database.write(work) is None:
            raise self.doors.absent(call, bucket.name, req["Key"])
        return {"VersionId": version.version_id} if bucket.versioning else {}


def _tag_set(tags: Mapping[str, str]) -> list[Params]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]

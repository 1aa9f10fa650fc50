"""Buckets. Their names are each account's own, so that a name tells nothing of the others."""

from dataclasses import dataclass

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.kernel.arns import s3
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.ids import Ids
from bastide.kernel.operation import operation
from bastide.store import bucket_records, errors, names, records
from bastide.store.model import Bucket, Doomed, Params
from bastide.store.ports import Keyring, PolicyDocuments
from bastide.store.requests import (
    ACCEPTED,
    BUCKET_TAGS_MAX,
    Doors,
    checked_tags,
    moment,
    owner_of,
    refuse_values,
)
from bastide.store.shelf import Shelf

BUCKETS_MAX = 10_000
PAGE_MAX = 10_000
_FIRST_REGION = "us-east-1"  # the one region that S3 names by saying nothing
_TOKEN = "s3.buckets"  # noqa: S105 - the purpose of a token, not one


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html and its siblings"""

    database: Database
    doors: Doors
    shelf: Shelf
    keyring: Keyring
    clock: Clock
    ids: Ids
    documents: PolicyDocuments

    @operation(
        "Bucket",
        "CreateBucketConfiguration.LocationConstraint",
        "CreateBucketConfiguration.Tags",
        accepted={
            "ACL": ACCEPTED["ACL"],
            "ObjectOwnership": "only BucketOwnerEnforced is taken: there are no ACLs",
        },
    )
    def create_bucket(self, call: Call, req: Params) -> Params:
        refuse_values(call, req)
        if req.get("ObjectOwnership") not in (None, "BucketOwnerEnforced"):
            raise errors.invalid_request("There are no ACLs here: only BucketOwnerEnforced.")
        name = req["Bucket"]
        names.check_bucket(name)
        asked = req.get("CreateBucketConfiguration") or {}
        _check_location(call.region.name, asked.get("LocationConstraint"))
        tags = checked_tags(asked.get("Tags") or [], BUCKET_TAGS_MAX)
        labelling, session = self.shelf.labelling, call.principal.session
        default = labelling.of_account(call.account)
        label = labelling.of_new(session, tags, default, "InvalidTag")
        if label != session:  # whether its name is free could not be told
            raise unsupported(call.operation, f"A bucket at {label}, above the session's {session}")
        bucket = Bucket(
            id=self.ids.uuid(), account=call.account, name=name,
            created_ms=epoch_ms(self.clock.now()), label=self.shelf.labels.use(label),
            view=self.shelf.labels.view(session), tags=tags,
        )  # fmt: skip
        self.database.write(lambda c: _create(c, bucket, call.region.name))
        self.documents.changed(call.account, name)
        return {"Location": f"/{name}", "BucketArn": s3(call.region, name)}

    @operation("Bucket", "ExpectedBucketOwner")
    def head_bucket(self, call: Call, req: Params) -> Params:
        bucket = self.doors.read_from(call, req)
        return {"BucketRegion": call.region.name, "BucketArn": s3(call.region, bucket.name)}

    @operation("Bucket", "ExpectedBucketOwner")
    def delete_bucket(self, call: Call, req: Params) -> Params:
        bucket = self.doors.own(call, req)
        left = self.database.read(lambda c: bucket_records.label_left(c, bucket))
        if left is not None:
            self.shelf.labels.use(left)

        def work(connection: Connection) -> list[Doomed]:
            if not records.is_empty(connection, bucket):
                raise ServiceError(
                    "BucketNotEmpty",
                    "The bucket you tried to delete is not empty",
                    status=409,
                    members={"BucketName": bucket.name},
                )
            return bucket_records.remove(connection, bucket)

        self.shelf.clear(self.database.write(work))
        self.documents.changed(call.account, bucket.name)
        return {}

    @operation("MaxBuckets", "ContinuationToken", "Prefix", "BucketRegion")
    def list_buckets(self, call: Call, req: Params) -> Params:
        limit = min(req.get("MaxBuckets") or PAGE_MAX, PAGE_MAX)
        prefix = req.get("Prefix") or ""
        after = self._after(call, req.get("ContinuationToken"))
        found: list[Bucket] = []
        if req.get("BucketRegion") in (None, "", call.region.name):
            view = self.shelf.labels.view(call.principal.session)
            listed = self.database.read(
                lambda c: bucket_records.of_account(c, call.account, view, prefix)
            )
            found = [bucket for bucket in listed if bucket.name > after]
        answer: Params = {
            "Owner": owner_of(call.account),
            "Buckets": [_shown(call, bucket) for bucket in found[:limit]],
        }
        if prefix:
            answer["Prefix"] = prefix
        if len(found) > limit:
            last = found[limit - 1].name.encode()
            token = self.keyring.seal(_TOKEN, last, call.account.encode())
            answer["ContinuationToken"] = names.page_token(token)
        return answer

    @operation("Bucket", "ExpectedBucketOwner")
    def get_bucket_location(self, call: Call, req: Params) -> Params:
        self.doors.bucket(call, req)
        region = call.region.name
        return {} if region == _FIRST_REGION else {"LocationConstraint": region}

    def _after(self, call: Call, token: str | None) -> str:
        if not token:
            return ""
        try:
            sealed = names.parse_page_token(token)
            return self.keyring.open(_TOKEN, sealed, call.account.encode()).decode()
        except ValueError:
            raise errors.invalid_argument(
                "The continuation token provided is incorrect", "continuation-token"
            ) from None


def _check_location(region: str, asked: str | None) -> None:
    """Outside us-east-1 the region must be said, and be this one."""
    if region == _FIRST_REGION and not asked:
        return
    if region == _FIRST_REGION and asked == region:
        raise ServiceError(
            "InvalidLocationConstraint",
            "The specified location-constraint is not valid",
            status=400,
            members={"LocationConstraint": asked},
        )
    if asked != region:
        raise ServiceError(
            "IllegalLocationConstraintException",
            f"The {asked or 'unspecified'} location constraint is incompatible for the region "
            "specific endpoint this request was sent to.",
            status=400,
        )


def _create(connection: Connection, bucket: Bucket, region: str) -> None:
    account, view = bucket.account, bucket.view
    if bucket_records.find(connection, account, bucket.name, view) is not None:
        if region == _FIRST_REGION:
            return  # S3's oldest region answers 200 to its owner, and changes nothing
        raise ServiceError(
            "BucketAlreadyOwnedByYou",
            "Your previous request to create the named bucket succeeded and you already own it.",
            status=409,
            members={"BucketName": bucket.name},
        )
    if len(bucket_records.of_account(connection, account, view, "")) >= BUCKETS_MAX:
        raise ServiceError(
            "TooManyBuckets",
            "You have attempted to create more buckets than allowed",
            status=400,
        )
    bucket_records.add(connection, bucket)


def _shown(call: Call, bucket: Bucket) -> Params:
    return {
        "Name": bucket.name,
        "CreationDate": moment(bucket.created_ms),
        "BucketRegion": call.region.name,
        "BucketArn": s3(call.region, bucket.name),
    }

"""What is the same for every bucket here: sealed, its owner's alone, and without the features that
nobody can switch on. Reading that is answered truly; what would change it is refused."""

from dataclasses import dataclass

from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.store import errors
from bastide.store.lookup import Wanted, found
from bastide.store.model import Params
from bastide.store.requests import ACCEPTED, Doors, owner_of
from bastide.store.shelf import Shelf

_READ = ("Bucket", "ExpectedBucketOwner")
_WRITE = (*_READ, "ContentMD5", "ChecksumAlgorithm")
_GRANTS = (
    "AccessControlPolicy", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite",
    "GrantWriteACP",
)  # fmt: skip
_PAYER = {"RequestPayer": ACCEPTED["RequestPayer"]}
_OWNER_ENFORCED = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketFacts:
    """Ownership, access-control lists, and what is never configured."""

    shelf: Shelf
    doors: Doors

    @operation(*_READ)
    def get_bucket_ownership_controls(self, call: Call, req: Params) -> Params:
        self.doors.bucket(call, req)
        return {"OwnershipControls": _OWNER_ENFORCED}

    @operation(*_WRITE, "OwnershipControls.Rules.ObjectOwnership")
    def put_bucket_ownership_controls(self, call: Call, req: Params) -> Params:
        self.doors.bucket(call, req)
        if req["OwnershipControls"] != _OWNER_ENFORCED:
            raise errors.no_acls()
        return {}

    @operation(*_READ)
    def get_bucket_acl(self, call: Call, req: Params) -> Params:
        self.doors.bucket(call, req)
        return _owners_alone(call.account)

    @operation(*_READ, "Key", "VersionId", accepted=_PAYER)
    def get_object_acl(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)
        found(self.shelf, self.doors, call, Wanted(bucket, req["Key"], req.get("VersionId")), "GET")
        return _owners_alone(call.account)

    @operation(*_WRITE, "ACL", *_GRANTS)
    def put_bucket_acl(self, call: Call, req: Params) -> Params:
        self.doors.bucket(call, req)
        raise errors.no_acls()

    @operation(*_WRITE, "Key", "VersionId", "ACL", *_GRANTS, accepted=_PAYER)
    def put_object_acl(self, call: Call, req: Params) -> Params:
        bucket = self.doors.bucket(call, req)
        found(self.shelf, self.doors, call, Wanted(bucket, req["Key"], req.get("VersionId")), "PUT")
        raise errors.no_acls()

    @operation(*_READ)
    def get_public_access_block(self, call: Call, req: Params) -> Params:
        """A policy that names everybody is taken, and lets in nobody of another account."""
        self.doors.bucket(call, req)
        shut = ("BlockPublicAcls", "IgnorePublicAcls", "RestrictPublicBuckets")
        configuration = {**dict.fromkeys(shut, True), "BlockPublicPolicy": False}
        return {"PublicAccessBlockConfiguration": configuration}

    @operation(*_READ)
    def get_bucket_policy_status(self, call: Call, req: Params) -> Params:
        """No policy opens a bucket to everybody, nor to another account without a share."""
        bucket = self.doors.bucket(call, req)
        if bucket.policy is None:
            raise errors.no_such_policy(bucket.name)
        return {"PolicyStatus": {"IsPublic": False}}

    @operation(*_READ)
    def get_bucket_request_payment(self, call: Call, req: Params) -> Params:
        self.doors.bucket(call, req)
        return {"Payer": "BucketOwner"}

    @operation(*_READ)
    def get_bucket_logging(self, call: Call, req: Params) -> Params:
        """Not of S3's own making: the audit log has every call."""
        self.doors.bucket(call, req)
        return {}

    @operation(*_READ, accepted=_PAYER)
    def get_bucket_accelerate_configuration(self, call: Call, req: Params) -> Params:
        self.doors.bucket(call, req)
        return {}

    @operation(*_READ)
    def get_bucket_notification_configuration(self, call: Call, req: Params) -> Params:
        self.doors.bucket(call, req)
        return {}

    @operation(*_READ)
    def get_bucket_cors(self, call: Call, req: Params) -> Params:
        raise self._never(call, req, "NoSuchCORSConfiguration", "The CORS configuration")

    @operation(*_READ)
    def get_bucket_website(self, call: Call, req: Params) -> Params:
        raise self._never(
            call, req, "NoSuchWebsiteConfiguration", "The specified website configuration"
        )

    @operation(*_READ)
    def get_bucket_lifecycle_configuration(self, call: Call, req: Params) -> Params:
        raise self._never(call, req, "NoSuchLifecycleConfiguration", "The lifecycle configuration")

    @operation(*_READ)
    def get_bucket_replication(self, call: Call, req: Params) -> Params:
        raise self._never(
            call, req, "ReplicationConfigurationNotFoundError", "The replication configuration"
        )

    @operation(*_READ)
    def get_object_lock_configuration(self, call: Call, req: Params) -> Params:
        raise self._never(
            call, req, "ObjectLockConfigurationNotFoundError", "Object Lock configuration"
        )

    def _never(self, call: Call, req: Params, code: str, what: str) -> ServiceError:
        name = self.doors.bucket(call, req).name
        members = {"BucketName": name}
        return ServiceError(code, f"{what} does not exist", status=404, members=members)


def _owners_alone(account: str) -> Params:
    owner = owner_of(account)
    grantee = {"Type": "CanonicalUser", **owner}
    return {"Owner": owner, "Grants": [{"Grantee": grantee, "Permission": "FULL_CONTROL"}]}

"""What is the same for every bucket, and what is told of an object's parts."""

import os

import pytest
from tests.contract.store.test_store_objects import MIB, refused
from tests.stores import ALICE, BOB

ENCRYPTION = {
    "Rules": [
        {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
            "BucketKeyEnabled": False,
        }
    ]
}
ABSENT = {
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    "get_bucket_policy_status": "NoSuchBucketPolicy",
}
SAID = {
    "get_bucket_encryption": {"ServerSideEncryptionConfiguration": ENCRYPTION},
    "get_bucket_ownership_controls": {
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    },
    "get_bucket_request_payment": {"Payer": "BucketOwner"},
    "get_bucket_logging": {},
    "get_bucket_accelerate_configuration": {},
    "get_bucket_notification_configuration": {},
    "delete_bucket_encryption": {},
}


@pytest.mark.parametrize("method", [*SAID, *ABSENT, "get_bucket_acl", "get_public_access_block"])
def test_nothing_is_told_of_another_accounts_bucket(store, method):
    store.bucket()
    with refused("NoSuchBucket", 404):
        store.call(method, BOB, Bucket="bucket")


@pytest.mark.parametrize(("method", "answer"), SAID.items())
def test_what_every_bucket_is(store, method, answer):
    store.bucket()
    assert store.call(method, Bucket="bucket") == answer


@pytest.mark.parametrize(("method", "code"), ABSENT.items())
def test_what_no_bucket_has(store, method, code):
    store.bucket()
    with refused(code, 404):
        store.call(method, Bucket="bucket")


@pytest.mark.parametrize(
    ("default", "code"),
    [
        ({"SSEAlgorithm": "aws:kms"}, "InvalidRequest"),
        ({"SSEAlgorithm": "AES256", "KMSMasterKeyID": "k"}, "MalformedXML"),
        ({"SSEAlgorithm": "aws:kms:dsse", "KMSMasterKeyID": "k"}, "MalformedXML"),
        ({}, "MalformedXML"),
    ],
)
def test_a_default_encryption_that_is_not_done_is_refused(store, default, code):
    store.bucket()
    store.call(
        "put_bucket_encryption", Bucket="bucket", ServerSideEncryptionConfiguration=ENCRYPTION
    )
    for rules in ([{"ApplyServerSideEncryptionByDefault": default}],):
        with refused(code, 400):
            store.call(
                "put_bucket_encryption", Bucket="bucket",
                ServerSideEncryptionConfiguration={"Rules": rules},
            )  # fmt: skip


def test_owners_alone(store):
    store.bucket()
    store.put("k")
    for answer in (
        store.call("get_bucket_acl", Bucket="bucket"),
        store.call("get_object_acl", Bucket="bucket", Key="k"),
    ):
        assert [grant["Permission"] for grant in answer["Grants"]] == ["FULL_CONTROL"]
        assert answer["Grants"][0]["Grantee"]["ID"] == answer["Owner"]["ID"]
    with refused("NoSuchKey", 404):
        store.call("get_object_acl", Bucket="bucket", Key="absent")
    for method, named in (("put_bucket_acl", {}), ("put_object_acl", {"Key": "k"})):
        with refused("AccessControlListNotSupported", 400):
            store.call(method, Bucket="bucket", ACL="private", **named)
    with refused("AccessControlListNotSupported", 400):
        store.call(
            "put_bucket_ownership_controls", Bucket="bucket",
            OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]},
        )  # fmt: skip


def test_a_policy_never_makes_a_bucket_public(store):
    store.bucket()
    store.call("put_bucket_policy", Bucket="bucket", Policy='{"Statement": []}')
    status = store.call("get_bucket_policy_status", Bucket="bucket")
    assert status == {"PolicyStatus": {"IsPublic": False}}


def test_attributes_of_a_whole_object(store):
    store.bucket()
    put = store.put("k", b"hello", ChecksumAlgorithm="SHA256")
    everything = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    told = store.call(
        "get_object_attributes", Bucket="bucket", Key="k", ObjectAttributes=everything
    )
    del told["LastModified"]
    assert told == {
        "ETag": put["ETag"].strip('"'),
        "Checksum": {"ChecksumSHA256": put["ChecksumSHA256"], "ChecksumType": "FULL_OBJECT"},
        "StorageClass": "STANDARD",
        "ObjectSize": 5,
    }
    for wrong in ([], ["ETags"]):
        with refused("InvalidArgument", 400):
            store.call("get_object_attributes", Bucket="bucket", Key="k", ObjectAttributes=wrong)


def test_attributes_of_parts(store):
    store.bucket()
    named = {"Bucket": "bucket", "Key": "k"}
    upload = store.call("create_multipart_upload", **named, ChecksumAlgorithm="CRC32")["UploadId"]
    named["UploadId"] = upload
    done = []
    for number, size in ((2, 5 * MIB), (5, 5 * MIB), (9, 7)):
        part = store.call("upload_part", ALICE, os.urandom(size), **named, PartNumber=number)
        done.append({"PartNumber": number, "ETag": part["ETag"]})
    store.call("complete_multipart_upload", **named, MultipartUpload={"Parts": done})
    page = store.call(
        "get_object_attributes", Bucket="bucket", Key="k", ObjectAttributes=["ObjectParts"],
        MaxParts=2,
    )["ObjectParts"]  # fmt: skip
    assert (page["TotalPartsCount"], page["IsTruncated"]) == (3, True)
    rest = store.call(
        "get_object_attributes", Bucket="bucket", Key="k", ObjectAttributes=["ObjectParts"],
        PartNumberMarker=str(page["NextPartNumberMarker"]),
    )["ObjectParts"]  # fmt: skip
    second = store.call(
        "get_object", Bucket="bucket", Key="k", PartNumber=2, ChecksumMode="ENABLED"
    )
    second["Body"].close()
    assert second["ChecksumCRC32"] == page["Parts"][1]["ChecksumCRC32"]
    assert second["ChecksumType"] == "COMPOSITE"
    parts = page["Parts"] + rest["Parts"]
    assert [part["Size"] for part in parts] == [5 * MIB, 5 * MIB, 7]
    assert all(part["ChecksumCRC32"] for part in parts)
    assert not rest["IsTruncated"]


def test_version_ids_that_cannot_be(store):
    store.bucket()
    store.put("k", b"x")
    for method in ("get_object", "head_object", "delete_object", "get_object_tagging"):
        with refused("InvalidArgument", 400):
            store.call(method, Bucket="bucket", Key="k", VersionId="no-such")
    with refused("NoSuchVersion", 404):
        store.call("get_object", Bucket="bucket", Key="k", VersionId="a" * 32)
    answer = store.call(
        "delete_objects", Bucket="bucket",
        Delete={"Objects": [{"Key": "k", "VersionId": "no-such"}, {"Key": "other"}]},
    )  # fmt: skip
    assert [each["Code"] for each in answer["Errors"]] == ["InvalidArgument"]
    assert [each["Key"] for each in answer["Deleted"]] == ["other"]
    assert store.get("k") == b"x"


def test_what_has_not_changed_still_says_what_it_is(store):
    store.bucket()
    etag = store.put("k", b"x")["ETag"]
    with refused("NotModified", 304):
        store.call("get_object", Bucket="bucket", Key="k", IfNoneMatch=etag)
    assert store.notes.headers["etag"] == etag
    assert store.notes.headers["last-modified"].endswith(" GMT")


def test_a_copy_onto_itself_must_change_something(store):
    store.bucket()
    store.put("k", b"x")
    again = {"Bucket": "bucket", "Key": "k", "CopySource": "bucket/k"}
    with refused("InvalidRequest", 400):
        store.call("copy_object", **again)
    store.call("copy_object", **again, StorageClass="STANDARD")
    store.call("copy_object", **again, ServerSideEncryption="AES256")
    versioned = {"Bucket": "bucket", "VersioningConfiguration": {"Status": "Enabled"}}
    store.call("put_bucket_versioning", **versioned)
    with refused("InvalidRequest", 400):
        store.call("copy_object", **again)
    brought_back = {**again, "CopySource": "bucket/k?versionId=null"}
    assert store.call("copy_object", **brought_back)["VersionId"] != "null"


@pytest.mark.parametrize("named", [False, True])
def test_who_may_copy_tags_may_read_those_of_the_version_that_is_named(store, named):
    enabled = {"Status": "Enabled"}
    store.call("put_bucket_versioning", Bucket=store.bucket(), VersioningConfiguration=enabled)
    version = store.put("k", b"x", Tagging="t=1")["VersionId"]
    actions = {False: "s3:GetObjectTagging", True: "s3:GetObjectVersionTagging"}
    source = f"bucket/k?versionId={version}" if named else "bucket/k"
    copy = {"Bucket": "bucket", "Key": "c", "CopySource": source}
    store.access.refused.add(actions[not named])
    store.call("copy_object", **copy)
    store.access.refused.add(actions[named])
    with refused("AccessDenied"):
        store.call("copy_object", **copy)
    store.call("copy_object", **copy, TaggingDirective="REPLACE")
    assert store.access.asked >= {(actions[named], version if named else None)}

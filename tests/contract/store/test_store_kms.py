"""Objects under a KMS key: sealed under it and under the agency's own, on both databases."""

import os

import pytest
from tests.stores import ALICE

from bastide.kernel.errors import ServiceError

KEY = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:key/one"}
OTHER = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:key/two"}
MIB = 1024 * 1024


def refused(code, method, *args, **more):
    with pytest.raises(ServiceError) as caught:
        method(*args, **more)
    assert caught.value.code == code


@pytest.fixture
def keys(store):
    store.bucket()
    return store.content.object_keys


def test_what_is_put_under_a_key_needs_it_to_be_read(store, keys):
    datas = {"small": b"x" * 10, "large": os.urandom(MIB)}
    for name, data in datas.items():
        answer = store.put(name, data, **KEY)
        assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == tuple(KEY.values())
        assert store.get(name) == data
        assert store.call("head_object", Bucket="bucket", Key=name)["SSEKMSKeyId"] == "arn:key/one"
    assert ("kms:Decrypt", "arn:key/one", "bucket", b"small") in keys.asked
    keys.gone.add("arn:key/one")
    for name in datas:
        refused("KMS.DisabledException", store.get, name)
    store.put("plain", b"y")
    assert store.get("plain") == b"y"


def test_the_agencys_own_key_is_needed_too(store, keys):
    store.put("k", b"x", **KEY)
    kek = store.keyring.current(ALICE, "U")
    del store.keyring.keks[kek.id]
    refused("KMS.NotFoundException", store.get, "k")


def test_a_bucket_has_a_default_that_a_call_may_change(store, keys):
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] = "one"
    store.call(
        "put_bucket_encryption", Bucket="bucket",
        ServerSideEncryptionConfiguration={"Rules": [{**rule, "BucketKeyEnabled": True}]},
    )  # fmt: skip
    told = store.call("get_bucket_encryption", Bucket="bucket")
    (shown,) = told["ServerSideEncryptionConfiguration"]["Rules"]
    assert shown["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == "arn:key/one"
    assert shown["BucketKeyEnabled"]
    assert store.put("default", b"x")["SSEKMSKeyId"] == "arn:key/one"
    assert store.put("named", b"x", **OTHER)["SSEKMSKeyId"] == "arn:key/two"
    assert "SSEKMSKeyId" not in store.put("plain", b"x", ServerSideEncryption="AES256")
    store.call("delete_bucket_encryption", Bucket="bucket")
    assert store.put("default", b"x")["ServerSideEncryption"] == "AES256"


def test_parts_and_copies_are_sealed_under_what_they_become(store, keys):
    name = {"Bucket": "bucket", "Key": "parts"}
    upload = store.call("create_multipart_upload", **name, **KEY)["UploadId"]
    body = os.urandom(5 * MIB)
    put = store.call("upload_part", body=body, **name, UploadId=upload, PartNumber=1)
    assert put["SSEKMSKeyId"] == "arn:key/one"
    parts = [{"PartNumber": 1, "ETag": put["ETag"]}]
    done = store.call(
        "complete_multipart_upload", **name, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert done["SSEKMSKeyId"] == "arn:key/one"
    copied = store.call(
        "copy_object", Bucket="bucket", Key="copy", CopySource="bucket/parts", **OTHER
    )
    assert copied["SSEKMSKeyId"] == "arn:key/two"
    plain = store.call("copy_object", Bucket="bucket", Key="plain", CopySource="bucket/parts")
    assert plain["ServerSideEncryption"] == "AES256"
    keys.gone.add("arn:key/one")
    refused("KMS.DisabledException", store.get, "parts")
    assert store.get("copy") == store.get("plain") == body


def test_data_keys_move_under_a_new_version_of_the_agencys_key(store, keys):
    store.put("k", b"x", **KEY)
    old = store.keyring.current(ALICE, "U")
    store.keyring.rotate(ALICE, "U")
    assert sum(store.upkeep.rewrap(ALICE, "U", [old.id])) == 1
    del store.keyring.keks[old.id]
    assert store.get("k") == b"x"


def test_a_key_without_its_algorithm_is_refused(store, keys):
    refused("InvalidArgument", store.put, "k", b"x", SSEKMSKeyId="arn:key/one")
    wrong = {"ServerSideEncryption": "AES256", "SSEKMSKeyId": "arn:key/one"}
    refused("InvalidArgument", store.put, "k", b"x", **wrong)

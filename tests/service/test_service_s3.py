"""S3 by boto3 over TLS: what its users rely on beyond put and get."""

import json
import os

import pytest
from botocore.exceptions import ClientError
from tests.live import NAME

MIB = 1024 * 1024
BUCKET = "shelf"


@pytest.fixture(scope="module")
def s3(region):
    client = region.client("s3", "shelver")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": NAME})
    return client


def refused(call, code, status, **request):
    with pytest.raises(ClientError) as found:
        call(**request)
    answer = found.value.response
    said = (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"])
    assert said == (code, status)
    return answer["ResponseMetadata"]["HTTPHeaders"]


def status_of(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, MIB, MIB + 1, 5 * MIB + 17])
@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_bodies_and_checksums_both_ways(s3, size, algorithm):
    body = os.urandom(size)
    put = s3.put_object(Bucket=BUCKET, Key="body", Body=body, ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=BUCKET, Key="body")  # botocore checks the checksum itself
    assert got["Body"].read() == body
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]


def test_statuses_that_the_model_does_not_say(s3):
    s3.put_object(Bucket=BUCKET, Key="status", Body=b"content")
    assert status_of(s3.get_object(Bucket=BUCKET, Key="status", Range="bytes=1-2")) == 206
    assert status_of(s3.head_object(Bucket=BUCKET, Key="status", Range="bytes=1-2")) == 206
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert status_of(s3.put_bucket_tagging(Bucket=BUCKET, Tagging=tags)) == 204
    etag = s3.head_object(Bucket=BUCKET, Key="status")["ETag"]
    headers = refused(s3.get_object, "304", 304, Bucket=BUCKET, Key="status", IfNoneMatch=etag)
    assert headers["etag"] == etag


def test_a_write_that_depends_on_what_is_there(s3):
    s3.put_object(Bucket=BUCKET, Key="once", Body=b"1", IfNoneMatch="*")
    refused(
        s3.put_object, "PreconditionFailed", 412, Bucket=BUCKET, Key="once", Body=b"2",
        IfNoneMatch="*",
    )  # fmt: skip
    etag = s3.head_object(Bucket=BUCKET, Key="once")["ETag"]
    s3.put_object(Bucket=BUCKET, Key="once", Body=b"3", IfMatch=etag)
    refused(
        s3.put_object, "PreconditionFailed", 412, Bucket=BUCKET, Key="once", Body=b"4", IfMatch=etag
    )
    assert s3.get_object(Bucket=BUCKET, Key="once")["Body"].read() == b"3"


def test_each_key_is_deleted_or_refused_by_itself(s3):
    for key in ("keep/a", "gone/a", "gone/b"):
        s3.put_object(Bucket=BUCKET, Key=key)
    arn = f"arn:aws-us-gov:s3:::{BUCKET}/keep/*"
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    assert status_of(s3.put_bucket_policy(Bucket=BUCKET, Policy=policy)) == 204
    try:
        for keys, codes in (
            (["keep/a"], ["AccessDenied"]),
            (["keep/a", "gone/a"], ["AccessDenied"]),
        ):
            objects = [{"Key": key} for key in keys]
            answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": objects})
            assert [each["Code"] for each in answer["Errors"]] == codes
            assert [each["Key"] for each in answer.get("Deleted", [])] == keys[1:]
    finally:
        s3.delete_bucket_policy(Bucket=BUCKET)
    left = s3.list_objects_v2(Bucket=BUCKET, Prefix="gone/")["Contents"]
    assert [each["Key"] for each in left] == ["gone/b"]


def test_what_tools_read_before_they_write(s3):
    rules = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert s3.get_bucket_acl(Bucket=BUCKET)["Grants"][0]["Permission"] == "FULL_CONTROL"
    block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert block["RestrictPublicBuckets"]
    controls = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]
    assert controls["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    refused(s3.get_bucket_cors, "NoSuchCORSConfiguration", 404, Bucket=BUCKET)
    acl = {"Bucket": BUCKET, "ACL": "public-read"}
    refused(s3.put_bucket_acl, "AccessControlListNotSupported", 400, **acl)


def test_attributes(s3):
    put = s3.put_object(Bucket=BUCKET, Key="told", Body=b"content", ChecksumAlgorithm="SHA256")
    told = s3.get_object_attributes(
        Bucket=BUCKET, Key="told", ObjectAttributes=["ETag", "Checksum", "ObjectSize"]
    )
    assert (told["ETag"], told["ObjectSize"]) == (put["ETag"].strip('"'), 7)
    assert told["Checksum"]["ChecksumSHA256"] == put["ChecksumSHA256"]

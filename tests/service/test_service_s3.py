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
    return region.s3(BUCKET, "shelver")


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


@pytest.fixture
def upload(s3, request):
    """A multipart upload that has begun, of a key of the test's own."""
    there = {"Bucket": BUCKET, "Key": f"parts/{request.node.name}"}
    begun = s3.create_multipart_upload(**there, Metadata={"made": "in parts"})
    return {**there, "UploadId": begun["UploadId"]}


def test_a_multipart_upload_step_by_step(s3, upload):
    there = {"Bucket": BUCKET, "Key": upload["Key"]}
    first, last = os.urandom(5 * MIB), b"the end"
    etags = {
        number: s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        for number, body in ((7, last), (2, first))
    }
    told = s3.list_parts(**upload)["Parts"]
    assert [(part["PartNumber"], part["Size"], part["ETag"]) for part in told] == [
        (2, len(first), etags[2]),
        (7, len(last), etags[7]),
    ]
    page = s3.list_parts(**upload, MaxParts=1)
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 2)
    rest = s3.list_parts(**upload, PartNumberMarker=2)["Parts"]
    assert [part["PartNumber"] for part in rest] == [7]
    refused(s3.head_object, "404", 404, **there)  # nothing is there before it is complete
    parts = [{"PartNumber": number, "ETag": etags[number]} for number in (2, 7)]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-2"')
    got = s3.get_object(**there)
    assert (got["Metadata"], got["ETag"]) == ({"made": "in parts"}, done["ETag"])
    assert got["Body"].read() == first + last
    assert s3.head_object(**there, PartNumber=2)["ContentLength"] == len(last)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ([(1, "its own"), (2, "its own")], "EntityTooSmall"),  # but for the last part
        ([(2, "its own"), (1, "its own")], "InvalidPartOrder"),
        ([(1, '"0"')], "InvalidPart"),
        ([(3, '"0"')], "InvalidPart"),
        ([], "MalformedXML"),
    ],
)
def test_parts_that_make_no_object(s3, upload, asked, code):
    etags = {
        number: s3.upload_part(**upload, PartNumber=number, Body=b"small")["ETag"]
        for number in (1, 2)
    }
    parts = [
        {"PartNumber": number, "ETag": etags[number] if etag == "its own" else etag}
        for number, etag in asked
    ]
    request = {**upload, "MultipartUpload": {"Parts": parts}}
    refused(s3.complete_multipart_upload, code, 400, **request)
    assert len(s3.list_parts(**upload)["Parts"]) == 2  # and it can go on


def test_an_upload_is_listed_until_it_is_aborted(s3, upload):
    s3.upload_part(**upload, PartNumber=1, Body=b"1")

    def open_ones():
        found = s3.list_multipart_uploads(Bucket=BUCKET, Prefix=upload["Key"])
        return [(each["Key"], each["UploadId"]) for each in found.get("Uploads", [])]

    assert open_ones() == [(upload["Key"], upload["UploadId"])]
    assert status_of(s3.abort_multipart_upload(**upload)) == 204
    assert open_ones() == []
    refused(s3.list_parts, "NoSuchUpload", 404, **upload)
    refused(s3.upload_part, "NoSuchUpload", 404, **upload, PartNumber=2, Body=b"2")


def test_a_part_is_copied_from_an_object(s3, upload):
    s3.put_object(Bucket=BUCKET, Key="whole", Body=b"0123456789")
    source = {"Bucket": BUCKET, "Key": "whole"}
    part = s3.upload_part_copy(
        **upload, PartNumber=1, CopySource=source, CopySourceRange="bytes=2-4"
    )
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=BUCKET, Key=upload["Key"])["Body"].read() == b"234"


def test_a_copy_takes_its_metadata_and_tags_along_or_leaves_them(s3):
    s3.put_object(
        Bucket=BUCKET, Key="from é+", Body=b"content", Metadata={"a": "1"}, Tagging="t=1",
        ContentType="text/plain",
    )  # fmt: skip
    source = {"Bucket": BUCKET, "Key": "from é+"}
    s3.copy_object(Bucket=BUCKET, Key="as it was", CopySource=source)
    s3.copy_object(
        Bucket=BUCKET, Key="anew", CopySource=source, Metadata={"b": "2"},
        MetadataDirective="REPLACE", Tagging="u=2", TaggingDirective="REPLACE",
    )  # fmt: skip
    for key, metadata, tags, kind in (
        ("as it was", {"a": "1"}, [{"Key": "t", "Value": "1"}], "text/plain"),
        ("anew", {"b": "2"}, [{"Key": "u", "Value": "2"}], "binary/octet-stream"),
    ):
        got = s3.get_object(Bucket=BUCKET, Key=key)
        assert (got["Body"].read(), got["Metadata"]) == (b"content", metadata)
        assert got["ContentType"] == kind
        assert s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"] == tags
    refused(s3.copy_object, "InvalidRequest", 400, Bucket=BUCKET, Key="from é+", CopySource=source)
    gone = {"Bucket": BUCKET, "Key": "nowhere"}
    refused(s3.copy_object, "NoSuchKey", 404, Bucket=BUCKET, Key="x", CopySource=gone)


def test_the_old_listing(s3):
    for key in ("old/a/1", "old/a/2", "old/b", "old/c"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")
    page = s3.list_objects(Bucket=BUCKET, Prefix="old/", Delimiter="/", MaxKeys=2)
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["old/a/"]
    assert [each["Key"] for each in page["Contents"]] == ["old/b"]
    assert (page["IsTruncated"], page["NextMarker"]) == (True, "old/b")
    rest = s3.list_objects(Bucket=BUCKET, Prefix="old/", Delimiter="/", Marker=page["NextMarker"])
    assert [each["Key"] for each in rest["Contents"]] == ["old/c"]
    assert not rest["IsTruncated"]


def test_versions_and_what_a_delete_leaves(s3):
    there = {"Bucket": "shelf-of-versions", "Key": "k"}
    bucket = {"Bucket": there["Bucket"]}
    s3.create_bucket(**bucket, CreateBucketConfiguration={"LocationConstraint": NAME})
    s3.put_object(**there, Body=b"before")
    assert "Status" not in s3.get_bucket_versioning(**bucket)
    s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    second = s3.put_object(**there, Body=b"after")["VersionId"]
    gone = s3.delete_object(**there)
    assert gone["DeleteMarker"]
    headers = refused(s3.get_object, "NoSuchKey", 404, **there)
    assert headers["x-amz-delete-marker"] == "true"
    told = s3.list_object_versions(**bucket)
    assert [(each["VersionId"], each["IsLatest"]) for each in told["Versions"]] == [
        (second, False),
        ("null", False),
    ]
    markers = [(each["VersionId"], each["IsLatest"]) for each in told["DeleteMarkers"]]
    assert markers == [(gone["VersionId"], True)]
    assert s3.get_object(**there, VersionId="null")["Body"].read() == b"before"
    s3.delete_object(**there, VersionId=gone["VersionId"])
    assert s3.get_object(**there)["Body"].read() == b"after"
    s3.delete_object(**there, VersionId=second)
    assert s3.get_object(**there)["Body"].read() == b"before"
    refused(s3.delete_bucket, "BucketNotEmpty", 409, **bucket)
    s3.delete_object(**there, VersionId="null")
    s3.delete_bucket(**bucket)
    refused(s3.head_bucket, "404", 404, **bucket)


def test_tags_of_an_older_version_bind_whoever_names_it(s3):
    there = {"Bucket": "shelf-of-secrets", "Key": "k"}
    bucket = {"Bucket": there["Bucket"]}
    s3.create_bucket(**bucket, CreateBucketConfiguration={"LocationConstraint": NAME})
    s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(**there, Body=b"old", Tagging="secret=yes")["VersionId"]
    new = s3.put_object(**there, Body=b"new")["VersionId"]
    denied = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:GetObject*", "s3:DeleteObject*"],
        "Resource": f"arn:aws-us-gov:s3:::{bucket['Bucket']}/*",
        "Condition": {"StringEquals": {"s3:ExistingObjectTag/secret": "yes"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [denied]}
    s3.put_bucket_policy(**bucket, Policy=json.dumps(policy))
    upload = {**bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    anew = {"TaggingDirective": "REPLACE", "MetadataDirective": "REPLACE"}
    refused(s3.get_object, "AccessDenied", 403, **there, VersionId=old)
    source = {**there, "VersionId": old}
    refused(s3.copy_object, "AccessDenied", 403, **bucket, Key="c", CopySource=source, **anew)
    refused(s3.upload_part_copy, "AccessDenied", 403, **upload, PartNumber=1, CopySource=source)
    wanted = [{"Key": "k", "VersionId": each} for each in (old, new)]
    done = s3.delete_objects(**bucket, Delete={"Objects": wanted})
    assert [each["VersionId"] for each in done["Errors"]] == [old]
    assert [each["VersionId"] for each in done["Deleted"]] == [new]
    s3.delete_bucket_policy(**bucket)
    s3.copy_object(**bucket, Key="c", CopySource=source, **anew)
    assert s3.get_object(**bucket, Key="c")["Body"].read() == b"old"


def test_tags_come_and_go(s3):
    tags = {"TagSet": [{"Key": "a", "Value": "é"}]}
    s3.put_object(Bucket=BUCKET, Key="tagged", Body=b"1")
    s3.put_object_tagging(Bucket=BUCKET, Key="tagged", Tagging=tags)
    assert s3.get_object_tagging(Bucket=BUCKET, Key="tagged")["TagSet"] == tags["TagSet"]
    assert s3.get_object(Bucket=BUCKET, Key="tagged")["TagCount"] == 1
    assert status_of(s3.delete_object_tagging(Bucket=BUCKET, Key="tagged")) == 204
    assert s3.get_object_tagging(Bucket=BUCKET, Key="tagged")["TagSet"] == []
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging=tags)
    assert s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"] == tags["TagSet"]
    assert status_of(s3.delete_bucket_tagging(Bucket=BUCKET)) == 204
    refused(s3.get_bucket_tagging, "NoSuchTagSet", 404, Bucket=BUCKET)

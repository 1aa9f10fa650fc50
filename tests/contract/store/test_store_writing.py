"""Every write of an object asks both engines about what it found: what they refuse is not done."""

import pytest
from tests.stores import REGION

from bastide.kernel.errors import ServiceError

LABEL = {"Key": "team", "Value": "red"}


def refused(work, *args, **req):
    with pytest.raises(ServiceError) as caught:
        work(*args, **req)
    assert caught.value.code == "AccessDenied", caught.value


def versions(store):
    found = store.call("list_object_versions", Bucket="bucket")
    return [(each["Key"], each["Size"]) for each in found.get("Versions", [])]


def begun(store):
    return store.call("create_multipart_upload", Bucket="bucket", Key="k")["UploadId"]


@pytest.fixture
def kept(store):
    """A store with one object, in which no engine has been asked yet."""
    store.bucket()
    store.put("k", b"old")
    store.writing.asked.clear()
    return store


@pytest.fixture
def asked(kept):
    return lambda: [(action, arn.rpartition(":")[2], new) for action, arn, _, new in _all(kept)]


def _all(store):
    found = list(store.writing.asked)
    store.writing.asked.clear()
    return found


def test_a_put_says_whether_it_replaces(kept, asked):
    kept.put("new", b"x")
    assert asked() == [("s3:PutObject", "bucket/new", True)]
    kept.put("k", b"x")
    assert asked() == [("s3:PutObject", "bucket/k", False)]
    status = {"Status": "Enabled"}
    kept.call("put_bucket_versioning", Bucket="bucket", VersioningConfiguration=status)
    kept.put("k", b"y")
    assert asked() == [("s3:PutObject", "bucket/k", True)]


def test_it_is_asked_about_the_label_that_it_found(store):
    store.bucket()
    store.put("k", b"x", Tagging="bastide%3Alabel=S")
    assert store.writing.asked == [
        ("s3:PutObject", f"arn:{REGION.partition}:s3:::bucket/k", "S", True)
    ]


def test_what_is_refused_is_not_put(kept):
    kept.writing.refused.add("s3:PutObject")
    refused(kept.put, "k", b"other")
    refused(kept.put, "new", b"other")
    refused(kept.call, "copy_object", Bucket="bucket", Key="copy", CopySource="bucket/k")
    refused(kept.call, "create_multipart_upload", Bucket="bucket", Key="k")
    assert versions(kept) == [("k", 3)]
    assert kept.get("k") == b"old"


def test_what_is_refused_is_not_deleted(kept):
    kept.writing.refused |= {"s3:DeleteObject", "s3:DeleteObjectVersion"}
    refused(kept.call, "delete_object", Bucket="bucket", Key="k")
    refused(kept.call, "delete_object", Bucket="bucket", Key="k", VersionId="null")
    answer = kept.call("delete_objects", Bucket="bucket", Delete={"Objects": [{"Key": "k"}]})
    assert [each["Code"] for each in answer["Errors"]] == ["AccessDenied"]
    assert versions(kept) == [("k", 3)]
    status = {"Status": "Enabled"}
    kept.call("put_bucket_versioning", Bucket="bucket", VersioningConfiguration=status)
    refused(kept.call, "delete_object", Bucket="bucket", Key="k")
    assert kept.get("k") == b"old"


def test_no_engine_is_asked_about_a_deletion_while_all_writes_wait(kept, asked):
    status = {"Status": "Enabled"}
    kept.call("put_bucket_versioning", Bucket="bucket", VersioningConfiguration=status)
    permits = kept.writing.permits

    def seen(*args, **more):
        kept.database.write(lambda _: None)  # the writer itself would not get through here
        return permits(*args, **more)

    kept.writing.permits = seen
    wanted = [{"Key": "k"}, {"Key": "nothing"}, {"Key": "k", "VersionId": "null"}]
    answer = kept.call("delete_objects", Bucket="bucket", Delete={"Objects": wanted})
    assert len(answer["Deleted"]) == 3
    version = ("s3:DeleteObjectVersion", "bucket/k", False)
    each = [("s3:DeleteObject", f"bucket/{key}", False) for key in ("k", "nothing")]
    assert asked() == [*each, version]
    kept.call("delete_object", Bucket="bucket", Key="k")
    assert asked() == each[:1]


def test_what_is_refused_is_not_tagged(kept):
    kept.writing.refused |= {"s3:PutObjectTagging", "s3:DeleteObjectTagging"}
    tags = {"TagSet": [LABEL]}
    refused(kept.call, "put_object_tagging", Bucket="bucket", Key="k", Tagging=tags)
    refused(kept.call, "delete_object_tagging", Bucket="bucket", Key="k")
    assert kept.call("get_object_tagging", Bucket="bucket", Key="k")["TagSet"] == []


def test_an_upload_that_is_refused_goes_nowhere(kept, asked):
    upload = {"Bucket": "bucket", "Key": "k", "UploadId": begun(kept)}
    part = kept.call("upload_part", body=b"part", PartNumber=1, **upload)
    assert asked() == [("s3:PutObject", "bucket/k", True), ("s3:PutObject", "bucket/k", False)]
    kept.writing.refused |= {"s3:PutObject", "s3:AbortMultipartUpload"}
    refused(kept.call, "upload_part", body=b"other", PartNumber=1, **upload)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    refused(kept.call, "complete_multipart_upload", MultipartUpload=parts, **upload)
    refused(kept.call, "abort_multipart_upload", **upload)
    assert kept.get("k") == b"old"
    assert kept.call("list_parts", **upload)["Parts"][0]["ETag"] == part["ETag"]

"""Objects as S3 documents them, on both databases."""

import base64
import hashlib
import os
from types import MappingProxyType

import pytest
from tests.stores import ALICE, BOB, a_principal, complete, refused

from bastide.kernel.errors import ServiceError
from bastide.store import sealed
from bastide.store.content import INLINE_SIZE_MAX, UNIT_SIZE

MIB = 1024**2


@pytest.mark.parametrize(
    "size",
    [0, 1, INLINE_SIZE_MAX, INLINE_SIZE_MAX + 1, 256 * 1024, UNIT_SIZE, UNIT_SIZE + 1, 3 * MIB + 5],
)
def test_round_trip_and_ranges(store, size):
    store.bucket()
    data = os.urandom(size)
    answer = store.put("k", data)
    assert answer["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert answer["ChecksumType"] == "FULL_OBJECT"
    assert answer["ChecksumCRC64NVME"]
    assert store.get("k") == data
    assert len(store.files()) == (size > INLINE_SIZE_MAX)
    for start, end in [
        (0, 1),
        (size // 2, size),
        (size - 1, size),
        (size // 3, size // 3 + 300_000),
    ]:
        if 0 <= start < min(end, size):
            got = store.call(
                "get_object", Bucket="bucket", Key="k", Range=f"bytes={start}-{end - 1}"
            )
            assert b"".join(got["Body"]) == data[start:end]
            assert got["ContentRange"] == f"bytes {start}-{min(end, size) - 1}/{size}"


def test_plain_text_is_nowhere_on_disk(store, tmp_path):
    store.bucket()
    canary = b"canary-of-the-store!" * 10_000
    store.put("big", canary)
    store.put("small", canary[:100])
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or canary[:40] not in path.read_bytes()


def test_what_was_said_of_an_object_comes_back(store):
    store.bucket()
    store.put(
        "k", b"x", Metadata={"A": "é"}, ContentType="text/plain",
        ContentEncoding="gzip, aws-chunked", CacheControl="no-cache", Tagging="a=b",
        StorageClass="STANDARD", ServerSideEncryption="AES256",
    )  # fmt: skip
    head = store.call("head_object", Bucket="bucket", Key="k", ChecksumMode="ENABLED")
    assert head["Metadata"] == {"a": "é"}
    assert (head["ContentType"], head["ContentEncoding"]) == ("text/plain", "gzip")
    assert (head["TagCount"], head["ContentLength"]) == (1, 1)
    assert head["ChecksumCRC64NVME"]
    assert "Body" not in head
    over = store.call("get_object", Bucket="bucket", Key="k", ResponseContentType="a/b")
    assert over["ContentType"] == "a/b"
    over["Body"].close()


@pytest.mark.parametrize(
    "asked",
    [{"StorageClass": "GLACIER"}, {"ServerSideEncryption": "aws:kms:dsse"},
     {"ChecksumAlgorithm": "XXHASH64"}],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_name(store, asked):
    store.bucket()
    with refused("UnsupportedOperation", 501):
        store.put("k", b"", **asked)


def test_there_are_no_acls_and_no_made_up_storage_classes(store):
    store.bucket()
    with refused("AccessControlListNotSupported", 400):
        store.put("k", b"", ACL="public-read")
    with refused("InvalidStorageClass", 400):
        store.put("k", b"", StorageClass="COLDER")


def test_limits_are_refused_before_reading(store):
    store.bucket()

    class Huge:
        declared_size = 5 * 1024**3 + 1
        promised = ()
        checksums = MappingProxyType({})

        def readinto(self, view):
            raise AssertionError("read")

    with refused("EntityTooLarge"):
        store.put("k", Huge())
    with refused("MetadataTooLarge"):
        store.put("k", b"", Metadata={"a": "x" * 2048})
    with refused("KeyTooLongError"):
        store.put("k" * 1025)


def test_a_body_that_breaks_leaves_nothing(store):
    store.bucket()

    class Broken:
        declared_size = None
        promised = ()
        checksums = MappingProxyType({})
        left = 3

        def readinto(self, view):
            self.left -= 1
            if not self.left:
                raise ServiceError("BadDigest", "no")
            view[:] = os.urandom(len(view))
            return len(view)

    with refused("BadDigest"):
        store.put("k", Broken())
    with refused("BadDigest"):
        store.put("k", os.urandom(MIB), ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    with refused("BadDigest"):
        store.put("k", os.urandom(MIB), ChecksumSHA256="AAAA")
    with refused("NoSuchKey", 404):
        store.get("k")
    assert store.files() == []


def test_checksums_given_and_asked_for(store):
    store.bucket()
    given = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    answer = store.put("k", b"x", ChecksumSHA256=given)
    assert answer["ChecksumSHA256"] == given
    assert "ChecksumCRC64NVME" not in answer
    assert store.put("k", b"x", ChecksumAlgorithm="CRC32C")["ChecksumCRC32C"]


def test_conditional_puts_and_gets(store):
    store.bucket()
    etag = store.put("k", b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412):
        store.put("k", os.urandom(MIB), IfNoneMatch="*")
    assert store.files() == []
    with refused("PreconditionFailed"):
        store.put("k", b"2", IfMatch='"x"')
    with refused("NoSuchKey"):
        store.put("other", b"2", IfMatch=etag)
    store.put("k", b"2", IfMatch=etag)
    assert store.get("k") == b"2"
    with refused("NotModified", 304):
        store.get("k", IfNoneMatch=hashlib.md5(b"2").hexdigest())
    with refused("PreconditionFailed"):
        store.call("delete_object", Bucket="bucket", Key="k", IfMatch=etag)


def test_another_accounts_bucket_answers_like_an_absent_one(store):
    store.bucket("hers")
    store.put("k", b"secret", bucket="hers")
    requests = {
        "head_bucket": {}, "get_bucket_location": {}, "list_objects_v2": {}, "list_objects": {},
        "list_object_versions": {}, "delete_bucket": {}, "get_bucket_policy": {},
        "get_bucket_versioning": {}, "get_bucket_tagging": {}, "list_multipart_uploads": {},
        "get_object": {"Key": "k"}, "head_object": {"Key": "k"}, "delete_object": {"Key": "k"},
        "put_object": {"Key": "k"}, "get_object_tagging": {"Key": "k"},
        "delete_objects": {"Delete": {"Objects": [{"Key": "k"}]}},
        "create_multipart_upload": {"Key": "k"},
    }  # fmt: skip
    for method, req in requests.items():
        answers = []
        for name in ("hers", "none"):
            with pytest.raises(ServiceError) as caught:
                store.call(method, BOB, Bucket=name, **req)
            members = {**caught.value.members, "BucketName": ""}
            answers.append((caught.value.code, caught.value.message, caught.value.status, members))
        assert answers[0] == answers[1]
        assert answers[0][0] == "NoSuchBucket"
    store.bucket("hers", BOB)
    with refused("NoSuchKey"):
        store.get("k", "hers", BOB)
    assert [b["Name"] for b in store.call("list_buckets", BOB)["Buckets"]] == ["hers"]
    assert store.get("k", "hers", ALICE) == b"secret"


def test_expected_owner(store):
    store.bucket()
    store.call("head_bucket", Bucket="bucket", ExpectedBucketOwner=ALICE)
    with refused("AccessDenied", 403):
        store.call("head_bucket", Bucket="bucket", ExpectedBucketOwner=BOB)


def test_buckets(store):
    store.bucket()
    with refused("BucketAlreadyOwnedByYou", 409):
        store.bucket()
    with refused("IllegalLocationConstraintException"):
        store.call("create_bucket", Bucket="other")
    store.put("k")
    with refused("BucketNotEmpty", 409):
        store.call("delete_bucket", Bucket="bucket")
    store.call("delete_object", Bucket="bucket", Key="k")
    store.call("delete_bucket", Bucket="bucket")
    with refused("NoSuchBucket", 404) as caught:
        store.call("head_bucket", Bucket="bucket")
    assert caught.value.members == {"BucketName": "bucket"}
    for name in ("b-1", "b-2", "b-3"):
        store.bucket(name)
    first = store.call("list_buckets", MaxBuckets=2, Prefix="b-")
    rest = store.call("list_buckets", ContinuationToken=first["ContinuationToken"])
    assert [b["Name"] for b in first["Buckets"] + rest["Buckets"]] == ["b-1", "b-2", "b-3"]
    with refused("InvalidArgument"):
        store.call("list_buckets", BOB, ContinuationToken=first["ContinuationToken"])


def test_versions_live_side_by_side(store):
    store.bucket()
    store.put("k", b"null")
    status = {"Status": "Enabled"}
    store.call("put_bucket_versioning", Bucket="bucket", VersioningConfiguration=status)
    first = store.put("k", b"one")["VersionId"]
    second = store.put("k", os.urandom(MIB))["VersionId"]
    assert store.get("k", VersionId=first) == b"one"
    assert store.get("k", VersionId="null") == b"null"
    marker = store.call("delete_object", Bucket="bucket", Key="k")
    assert marker["DeleteMarker"]
    with refused("NoSuchKey"):
        store.get("k")
    assert store.notes.headers["x-amz-delete-marker"] == "true"
    with refused("MethodNotAllowed", 405):
        store.get("k", VersionId=marker["VersionId"])
    with refused("NoSuchVersion", 404):
        store.get("k", VersionId="n" * 32)
    listed = store.call("list_object_versions", Bucket="bucket")
    assert [v["VersionId"] for v in listed["Versions"]] == [second, first, "null"]
    assert [m["IsLatest"] for m in listed["DeleteMarkers"]] == [True]
    assert store.call("list_objects_v2", Bucket="bucket")["Contents"] == []
    gone = store.call("delete_object", Bucket="bucket", Key="k", VersionId=marker["VersionId"])
    assert gone == {"DeleteMarker": True, "VersionId": marker["VersionId"]}
    assert len(store.get("k")) == MIB
    store.call("delete_object", Bucket="bucket", Key="k", VersionId=second)
    assert store.get("k") == b"one"
    assert store.files() == []
    status = {"Status": "Suspended"}
    store.call("put_bucket_versioning", Bucket="bucket", VersioningConfiguration=status)
    store.put("k", b"new null")
    assert store.get("k", VersionId="null") == b"new null"
    pages, marks = [], {}
    while True:
        page = store.call("list_object_versions", Bucket="bucket", MaxKeys=1, **marks)
        pages += [v["VersionId"] for v in page["Versions"]]
        if not page["IsTruncated"]:
            break
        marks = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    assert pages == ["null", first]


def test_copies(store):
    store.bucket()
    store.bucket("other")
    data = os.urandom(2 * MIB)
    store.put("a b/ü", data, Metadata={"m": "1"}, Tagging="t=1")
    copy = {"Bucket": "other", "CopySource": "bucket/a%20b/%C3%BC"}
    store.call("copy_object", Key="c", **copy)
    assert store.get("c", "other") == data
    assert store.call("head_object", Bucket="other", Key="c")["Metadata"] == {"m": "1"}
    tags = store.call("get_object_tagging", Bucket="other", Key="c")["TagSet"]
    assert tags == [{"Key": "t", "Value": "1"}]
    with refused("InvalidRequest"):
        store.call("copy_object", Bucket="other", Key="c", CopySource="other/c")
    with refused("PreconditionFailed"):
        store.call("copy_object", Key="d", CopySourceIfMatch="x", **copy)
    store.access.refused.add(("s3:GetObject", "arn:aws-us-gov:s3:::bucket/a b/ü"))
    with refused("AccessDenied"):
        store.call("copy_object", Key="d", **copy)
    store.access.refused.clear()
    upload = store.call("create_multipart_upload", Bucket="other", Key="m")["UploadId"]
    named = {"Bucket": "other", "Key": "m", "UploadId": upload}
    part = store.call(
        "upload_part_copy", CopySource="bucket/a%20b/%C3%BC", CopySourceRange="bytes=5-300000",
        PartNumber=1, **named,
    )  # fmt: skip
    complete(store, named, [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}])
    assert store.get("m", "other") == data[5:300001]
    with refused("InvalidArgument"):
        store.call("upload_part_copy", CopySource="bucket/a%20b/%C3%BC", CopySourceRange="bytes=5-",
                   PartNumber=1, **named)  # fmt: skip


def test_deleting_many(store):
    store.bucket()
    for name in "abc":
        store.put(name, os.urandom(100_000))
    store.access.refused.add(("s3:DeleteObject", "arn:aws-us-gov:s3:::bucket/b"))
    asked = {"Objects": [{"Key": "a"}, {"Key": "b"}, {"Key": "absent"}]}
    answer = store.call("delete_objects", Bucket="bucket", Delete=asked)
    assert [each["Key"] for each in answer["Deleted"]] == ["a", "absent"]
    assert [each["Code"] for each in answer["Errors"]] == ["AccessDenied"]
    assert len(store.files()) == 2
    with refused("MalformedXML"):
        store.call("delete_objects", Bucket="bucket", Delete={"Objects": [{"Key": "a"}] * 1001})


def test_who_may_not_list_does_not_learn_what_is_absent(store):
    store.bucket()
    store.access.refused.add("s3:ListBucket")
    with refused("AccessDenied", 403):
        store.get("k")


def test_policies_and_tags(store):
    store.bucket()
    with refused("NoSuchBucketPolicy", 404):
        store.call("get_bucket_policy", Bucket="bucket")
    for bad in ("[]", "{", "{" + " " * 20_480 + "}"):
        with refused("MalformedPolicy"):
            store.call("put_bucket_policy", Bucket="bucket", Policy=bad)
    store.call("put_bucket_policy", Bucket="bucket", Policy="{ }")
    assert store.call("get_bucket_policy", Bucket="bucket")["Policy"] == "{ }"
    assert store.space.bucket_policy(a_principal(), "bucket") == "{ }"
    store.call("delete_bucket_policy", Bucket="bucket")
    with refused("NoSuchTagSet"):
        store.call("get_bucket_tagging", Bucket="bucket")
    tags = {"TagSet": [{"Key": "k\0", "Value": "v"}]}
    store.call("put_bucket_tagging", Bucket="bucket", Tagging=tags)
    assert store.call("get_bucket_tagging", Bucket="bucket") == tags


def test_reading_outlives_replacement(store):
    store.bucket()
    data = os.urandom(MIB)
    store.put("k", data)
    body = store.call("get_object", Bucket="bucket", Key="k")["Body"]
    head = next(body)
    store.put("k", b"new")
    assert len(store.files()) == 1
    assert head + b"".join(body) == data
    assert store.files() == []
    store.put("k", data)
    unread = store.call("get_object", Bucket="bucket", Key="k")["Body"]
    store.call("delete_object", Bucket="bucket", Key="k")
    unread.close()
    assert store.files() == []


def test_rotation_leaves_blobs_alone(store):
    store.bucket()
    datas = {"big": os.urandom(MIB), "small": b"s"}
    for key, data in datas.items():
        store.put(key, data)
    before = {name: store.blobs.path(name).read_bytes() for name in store.files()}
    old = store.keyring.current(ALICE, "U")
    store.keyring.rotate(ALICE, "U")
    assert sum(store.upkeep.rewrap(ALICE, "U", [old.id])) == 2
    assert sum(store.upkeep.rewrap(ALICE, "U", [old.id])) == 0
    del store.keyring.keks[old.id]
    assert {name: store.blobs.path(name).read_bytes() for name in store.files()} == before
    assert {key: store.get(key) for key in datas} == datas


def test_torn_and_swapped_files_are_noticed(store):
    store.bucket()
    store.put("a", os.urandom(MIB))
    a = store.blobs.path(store.files()[0])
    store.put("b", os.urandom(MIB))
    b = next(store.blobs.path(name) for name in store.files() if name != a.name)
    whole = a.read_bytes()
    for torn in (whole[:-1], whole + b"x", whole[:-9] + bytes(9), b.read_bytes()):
        a.write_bytes(torn)
        with pytest.raises(sealed.Tampered):
            store.get("a")
    a.write_bytes(whole)
    store.get("a")


def test_the_sweep_takes_only_orphans(store):
    store.bucket()
    store.put("k", os.urandom(MIB))
    kept = store.files()
    store.blobs.path("00orphan").write_bytes(b"x")
    (store.blobs.path("00").parent.parent / "tmp" / "half").write_bytes(b"x")
    assert store.upkeep.start() == 1
    assert store.files() == kept


def test_object_space(store):
    store.bucket()
    info = store.space.put(a_principal(), "bucket", "d/x", [b"ab", b"", b"c"])
    assert (info.key, info.size) == ("d/x", 3)
    found, body = store.space.open(a_principal(), "bucket", "d/x")
    assert b"".join(body) == b"abc"
    assert found == info
    assert [each.key for each in store.space.listing(a_principal(), "bucket", "d/")] == ["d/x"]
    with refused("NoSuchKey"):
        store.space.open(a_principal(), "bucket", "d/y")
    with refused("NoSuchBucket"):
        store.space.open(a_principal(BOB), "bucket", "d/x")

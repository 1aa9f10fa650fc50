"""Multipart uploads: what becomes of their parts, and what they were copied from."""

import os

from tests.stores import ALICE, complete, refused

from bastide.db import derivation_records

MIB = 1024**2


def test_multipart(store):
    store.bucket()
    upload = store.call("create_multipart_upload", Bucket="bucket", Key="k", Metadata={"a": "b"})
    named = {"Bucket": "bucket", "Key": "k", "UploadId": upload["UploadId"]}
    datas = {1: os.urandom(5 * MIB), 3: os.urandom(5 * MIB), 7: b"tail", 9: b"unused"}
    parts = []
    for number, data in datas.items():
        store.call("upload_part", body=b"replaced" * 10_000, PartNumber=number, **named)
        answer = store.call("upload_part", body=data, PartNumber=number, **named)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    assert len(store.files()) == 2
    listed = store.call("list_parts", MaxParts=3, **named)
    assert [p["Size"] for p in listed["Parts"]] == [5 * MIB, 5 * MIB, 4]
    assert listed["IsTruncated"]
    assert len(store.call("list_multipart_uploads", Bucket="bucket")["Uploads"]) == 1
    with refused("InvalidPartOrder"):
        complete(store, named, [parts[1], parts[0]])
    with refused("InvalidPart"):
        complete(store, named, [{"PartNumber": 2, "ETag": "x"}])
    with refused("EntityTooSmall"):
        complete(store, named, [parts[0], parts[2], parts[3]])
    with refused("BadDigest"):
        complete(store, named, parts[:3], ChecksumCRC64NVME="AAAAAAAAAAA=")
    done = complete(store, named, parts[:3])
    assert complete(store, named, parts[:3]) == done  # the answer was lost, and is sent again
    assert done["ETag"].endswith('-3"')
    whole = datas[1] + datas[3] + datas[7]
    assert store.get("k") == whole
    assert (
        store.get("k", Range=f"bytes={5 * MIB - 3}-{10 * MIB + 1}")
        == whole[5 * MIB - 3 : 10 * MIB + 2]
    )
    head = store.call("head_object", Bucket="bucket", Key="k", PartNumber=2, ChecksumMode="ENABLED")
    assert (head["PartsCount"], head["ContentLength"]) == (3, 5 * MIB)
    assert head["ContentRange"] == f"bytes {5 * MIB}-{10 * MIB - 1}/{len(whole)}"
    assert head["Metadata"] == {"a": "b"}
    plain = store.put("plain", whole)
    assert plain["ChecksumCRC64NVME"] == done["ChecksumCRC64NVME"]
    with refused("NoSuchUpload", 404):
        store.call("list_parts", **named)


def test_abort_forgets_everything(store):
    store.bucket()
    upload = store.call("create_multipart_upload", Bucket="bucket", Key="k")["UploadId"]
    named = {"Bucket": "bucket", "Key": "k", "UploadId": upload}
    store.call("upload_part", body=os.urandom(MIB), PartNumber=1, **named)
    store.call("abort_multipart_upload", **named)
    assert store.files() == []
    with refused("NoSuchUpload"):
        store.call("abort_multipart_upload", **named)
    with refused("NoSuchUpload"):
        store.call("upload_part", body=os.urandom(MIB), PartNumber=1, **named)
    assert store.files() == []


def test_composite_checksums(store):
    store.bucket()
    asked = {"Bucket": "bucket", "Key": "k", "ChecksumAlgorithm": "SHA256"}
    upload = store.call("create_multipart_upload", **asked)
    assert upload["ChecksumType"] == "COMPOSITE"
    named = {"Bucket": "bucket", "Key": "k", "UploadId": upload["UploadId"]}
    answer = store.call("upload_part", body=b"x", PartNumber=1, ChecksumAlgorithm="SHA256", **named)
    part = {"PartNumber": 1, "ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]}
    assert complete(store, named, [part])["ChecksumSHA256"].endswith("=-1")
    with refused("InvalidRequest"):
        store.call("create_multipart_upload", ChecksumType="FULL_OBJECT", **asked)


def test_an_upload_is_made_of_what_its_parts_are_copies_of_and_each_part_of_one_thing(store):
    def told(arn):
        read = derivation_records.sources_of
        edges = store.database.read(lambda c: read(c, ALICE, [arn]))
        return sorted(of.arn.rpartition("/")[2] for _, of in edges)

    store.bucket()
    for key in ("a", "b", "c"):
        store.put(key, b"x")
    upload = store.call("create_multipart_upload", Bucket="bucket", Key="m")["UploadId"]
    named = {"Bucket": "bucket", "Key": "m", "UploadId": upload}
    etags = {}
    for number, source in ((1, "a"), (1, "b"), (2, "c")):
        part = store.call(
            "upload_part_copy", CopySource=f"bucket/{source}", PartNumber=number, **named
        )
        etags[number] = part["CopyPartResult"]["ETag"]
    assert told(f"upload/{upload}/1") == ["b"], "the part that it replaced is forgotten"
    assert told(f"upload/{upload}/2") == ["c"]
    complete(store, named, [{"PartNumber": 1, "ETag": etags[1]}])
    assert told("arn:aws-us-gov:s3:::bucket/m") == ["b"], "a part that is left out is not of it"
    assert told(f"upload/{upload}/1") == told(f"upload/{upload}/2") == []
    gone = store.call("create_multipart_upload", Bucket="bucket", Key="n")["UploadId"]
    named = {"Bucket": "bucket", "Key": "n", "UploadId": gone}
    store.call("upload_part_copy", CopySource="bucket/a", PartNumber=7, **named)
    store.call("abort_multipart_upload", **named)
    assert told(f"upload/{gone}/7") == []

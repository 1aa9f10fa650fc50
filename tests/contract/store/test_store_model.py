"""Random histories against a dict, and keys that no file system could bear."""

import os
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastide.kernel.errors import ServiceError

KEYS = st.sampled_from(["a", "a/", "a/b", "a/b/c", "b", "../a", "é", "z\x00", "\U0001f600"])
SIZES = st.sampled_from([0, 1, 70_000, 300_000])
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, SIZES),
    st.tuples(st.just("delete"), KEYS, st.just(0)),
    st.tuples(st.just("copy"), KEYS, KEYS),
    st.tuples(st.just("multipart"), KEYS, SIZES),
    st.tuples(st.just("list"), st.sampled_from(["", "a", "a/", "é"]), st.integers(1, 3)),
)


def multipart(store, bucket, key, data):
    upload = store.call("create_multipart_upload", Bucket=bucket, Key=key)["UploadId"]
    named = {"Bucket": bucket, "Key": key, "UploadId": upload}
    part = store.call("upload_part", body=data, PartNumber=5, **named)
    parts = {"Parts": [{"PartNumber": 5, "ETag": part["ETag"]}]}
    store.call("complete_multipart_upload", MultipartUpload=parts, **named)


def listed(store, bucket, size, **req):
    keys, token = [], {}
    while True:
        page = store.call("list_objects_v2", Bucket=bucket, MaxKeys=size, **req, **token)
        entries = [each["Key"] for each in page["Contents"]]
        entries += [each["Prefix"] for each in page["CommonPrefixes"]]
        assert len(entries) == page["KeyCount"] <= size
        keys += sorted(entries, key=str.encode)
        if not page["IsTruncated"]:
            return keys
        token = {"ContinuationToken": page["NextContinuationToken"]}


def expected(model, prefix, delimiter):
    found = set()
    for key in model:
        if key.startswith(prefix):
            rest = key[len(prefix) :]
            head, mark, _ = rest.partition(delimiter) if delimiter else (rest, "", "")
            found.add(prefix + head + mark)
    return sorted(found, key=str.encode)


class History:
    """What the store should hold after each step."""

    def __init__(self, store, bucket):
        self.store, self.bucket, self.model = store, bucket, {}

    def put(self, key, size):
        self.model[key] = os.urandom(size)
        self.store.put(key, self.model[key], bucket=self.bucket)

    def multipart(self, key, size):
        self.model[key] = os.urandom(size)
        multipart(self.store, self.bucket, key, self.model[key])

    def delete(self, key, _):
        self.model.pop(key, None)
        self.store.call("delete_object", Bucket=self.bucket, Key=key)

    def copy(self, key, source):
        asked = {"CopySource": f"{self.bucket}/{quote(source)}", "MetadataDirective": "REPLACE"}
        if source in self.model:
            self.store.call("copy_object", Bucket=self.bucket, Key=key, **asked)
            self.model[key] = self.model[source]
            return
        with pytest.raises(ServiceError, match="NoSuchKey"):
            self.store.call("copy_object", Bucket=self.bucket, Key=key, **asked)

    def list(self, prefix, size):
        for delimiter in ("", "/"):
            got = listed(self.store, self.bucket, size, Prefix=prefix, Delimiter=delimiter)
            assert got == expected(self.model, prefix, delimiter)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, max_size=12))
def test_any_history_matches_a_dict(store, steps):
    bucket = store.bucket(f"b-{os.urandom(8).hex()}")
    history = History(store, bucket)
    files = len(store.files())
    for name, first, second in steps:
        getattr(history, name)(first, second)
    assert listed(store, bucket, 1000) == expected(history.model, "", "")
    for key, data in history.model.items():
        assert store.get(key, bucket) == data
    assert len(store.files()) - files == sum(len(d) > 65536 for d in history.model.values())


def nasty_keys():
    fixed = [
        "../x", "../../etc/passwd", "/", "//", ".", "..", "a/../b", "\x00", "a\x00b", "%2e%2e%2f",
        "%00", "a%2Fb", "~", "\\..\\x", "C:\\x", "a b+c", "'; DROP TABLE s3_versions;--", "%", "_",
        "\U0010ffff", "\ufffd", "é", "e\u0301", "\r\n", "\x1b[31m", "x" * 1024, "é" * 512, "NUL",
        "?versionId=null", "#", "&<>\"'", "\u202e", " ", "tmp/half", "a/",
    ]  # fmt: skip
    return fixed + [f"{chr(33 + n * 7)}/{'../' * (n % 5)}{chr(n)}" for n in range(500 - len(fixed))]


def test_500_nasty_keys(store, tmp_path):
    store.bucket()
    keys = list(dict.fromkeys(nasty_keys()))
    for number, key in enumerate(keys):
        store.put(key, b"%d" % number + bytes(70_000 if number % 10 == 0 else 0))
    for number, key in enumerate(keys):
        assert store.get(key).rstrip(b"\0") == b"%d" % number
    assert listed(store, "bucket", 100) == sorted(keys, key=str.encode)
    page = store.call("list_objects_v2", Bucket="bucket", EncodingType="url")
    assert [unquote(each["Key"]) for each in page["Contents"]] == sorted(keys, key=str.encode)
    assert all(each["Key"].isascii() for each in page["Contents"])
    outside = {path.name for path in tmp_path.iterdir()} - {"objects"}
    assert all(name.startswith("region.db") for name in outside)
    assert all(len(name) == 36 for name in store.files())


def test_a_token_is_of_one_bucket_and_whole(store):
    store.bucket()
    store.bucket("other")
    for key in "ab":
        store.put(key)
    token = store.call("list_objects_v2", Bucket="bucket", MaxKeys=1)["NextContinuationToken"]
    for bucket, bad in [("other", token), ("bucket", token[:-4]), ("bucket", "é"), ("bucket", "")]:
        with pytest.raises(ServiceError) as caught:
            store.call("list_objects_v2", Bucket=bucket, ContinuationToken=bad)
        assert caught.value.code == "InvalidArgument"

"""What sessions of several labels see of one another's buckets and objects: downwards only."""

import pytest
from tests.stores import ALICE, REGION

from bastide.db import derivation_records, labels_in_use
from bastide.kernel.arns import s3
from bastide.kernel.errors import ServiceError, Unavailable

HIGH = "S//SI"


@pytest.fixture
def at(store):
    """`at("S")`: from now on the store is used in a session at that label."""

    def use(marking):
        store.marking = marking
        return store

    return use


def refused(code, work, *args, **req):
    with pytest.raises(ServiceError) as caught:
        work(*args, **req)
    assert caught.value.code == code, caught.value
    return caught.value


def keys(store, bucket="bucket"):
    return [each["Key"] for each in store.call("list_objects_v2", Bucket=bucket)["Contents"]]


def versions(store, bucket="bucket"):
    found = store.call("list_object_versions", Bucket=bucket)
    return [(each["Key"], each["IsLatest"]) for each in found["Versions"]]


def test_a_session_reads_down_and_what_it_puts_is_its_own(at):
    at("U").bucket()
    at("U").put("low", b"low")
    at(HIGH).put("high", b"high")
    assert keys(at(HIGH)) == ["high", "low"]
    assert at(HIGH).get("low") == b"low"
    assert at(HIGH).notes.label == "U"
    assert at(HIGH).get("high") == b"high"
    assert at(HIGH).notes.label == HIGH
    assert keys(at("U")) == ["low"]
    assert keys(at("S//TK")) == ["low"]


def test_what_is_above_answers_like_what_is_not_there(at):
    at("U").bucket()
    at(HIGH).put("k", b"secret")
    for method in ("get_object", "head_object", "get_object_tagging", "get_object_attributes"):
        more = {"ObjectAttributes": ["ETag"]} if method == "get_object_attributes" else {}
        above = refused("NoSuchKey", at("U").call, method, Bucket="bucket", Key="k", **more)
        absent = refused("NoSuchKey", at("U").call, method, Bucket="bucket", Key="j", **more)
        assert above.message.replace("k", "j") == absent.message.replace("k", "j")
        assert above.members.keys() == absent.members.keys()
    at(HIGH).bucket("inner")
    above = refused("NoSuchBucket", at("U").call, "head_bucket", Bucket="inner")
    absent = refused("NoSuchBucket", at("U").call, "head_bucket", Bucket="other")
    assert (above.message, above.status) == (absent.message, absent.status)
    assert [b["Name"] for b in at("U").call("list_buckets")["Buckets"]] == ["bucket"]
    assert [b["Name"] for b in at(HIGH).call("list_buckets")["Buckets"]] == ["bucket", "inner"]


def test_a_name_that_is_used_above_is_free(at):
    at(HIGH).bucket("shared")
    at(HIGH).put("k", b"high", bucket="shared")
    at("U").bucket("shared")
    at("U").put("k", b"low", bucket="shared", IfNoneMatch="*")
    assert at("U").get("k", bucket="shared") == b"low"
    assert at(HIGH).get("k", bucket="shared") == b"high"
    assert keys(at(HIGH), "shared") == ["k"]


def test_a_key_is_found_at_the_session_s_own_label_first(at):
    at("U").bucket()
    at("U").put("k", b"low")
    at("S").put("k", b"middle")
    at("U").put("k", b"low again")
    assert at("U").get("k") == b"low again"
    assert at("S").get("k") == b"middle"
    assert at("TS").get("k") == b"low again"  # none of its own: the newest that it sees
    assert keys(at("TS")) == keys(at("S")) == keys(at("U")) == ["k"]
    at("S").call("delete_object", Bucket="bucket", Key="k")
    assert at("S").get("k") == b"low again"


def test_nothing_below_is_removed_or_changed(at):
    at("U").bucket()
    at("U").put("k", b"low")
    refused("AccessDenied", at("S").call, "delete_object", Bucket="bucket", Key="k")
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    put_tags = ("put_object_tagging",)
    refused("AccessDenied", at("S").call, *put_tags, Bucket="bucket", Key="k", Tagging=tags)
    at("S").put("mine", b"")
    wanted = {"Objects": [{"Key": "k"}, {"Key": "mine"}, {"Key": "nothing"}]}
    done = at("S").call("delete_objects", Bucket="bucket", Delete=wanted)
    assert [(each["Key"], each["Code"]) for each in done["Errors"]] == [("k", "AccessDenied")]
    assert [each["Key"] for each in done["Deleted"]] == ["mine", "nothing"]
    assert at("U").get("k") == b"low"


def test_the_tag_raises_a_label_and_never_lowers_it(at):
    at("U").bucket()
    at("U").put("up", b"x", Tagging="bastide:label=S//SI")
    assert keys(at("U")) == []
    assert at(HIGH).get("up") == b"x"
    refused("AccessDenied", at("S").put, "down", b"x", Tagging="bastide:label=U")
    refused("InvalidTag", at("U").put, "odd", b"x", Tagging="bastide:label=PINK")
    refused("InvalidTag", at("U").put, "over", b"x", Tagging="bastide:label=TS//HCS-P")
    tags = {"TagSet": [{"Key": "bastide:label", "Value": "S//TK"}]}
    at("U").call("put_bucket_tagging", Bucket="bucket", Tagging=tags)
    refused("NoSuchBucket", at("U").call, "head_bucket", Bucket="bucket")
    tags = {"TagSet": [{"Key": "bastide:label", "Value": "S"}]}
    refused("AccessDenied", at("S//TK").call, "put_bucket_tagging", Bucket="bucket", Tagging=tags)


def test_what_is_put_above_overwrites_nothing_there(at):
    at("U").bucket()
    at("S").put("k", b"theirs")
    at("U").put("k", b"blind", Tagging="bastide:label=S")
    assert at("S").get("k") == b"theirs"
    assert versions(at("S")) == [("k", True), ("k", False)]
    assert versions(at("U")) == []


def test_versions_and_markers_are_each_label_s_own(at):
    at("U").bucket()
    enabled = {"Status": "Enabled"}
    at("U").call("put_bucket_versioning", Bucket="bucket", VersioningConfiguration=enabled)
    first = at("U").put("k", b"1")["VersionId"]
    above = at("S").put("k", b"2")["VersionId"]
    at("U").put("k", b"3")
    assert versions(at("U")) == [("k", True), ("k", False)]
    assert versions(at("S")) == [("k", False), ("k", True), ("k", False)]
    refused("NoSuchVersion", at("U").call, "get_object", Bucket="bucket", Key="k", VersionId=above)
    hidden = at("S").call("delete_object", Bucket="bucket", Key="k")
    assert hidden["DeleteMarker"]
    refused("NoSuchKey", at("S").call, "get_object", Bucket="bucket", Key="k")
    assert keys(at("S")) == []
    assert keys(at("U")) == ["k"]
    down = {"Bucket": "bucket", "Key": "k", "VersionId": first}
    refused("AccessDenied", at("S").call, "delete_object", **down)


def test_a_bucket_that_looks_empty_goes_and_stays_for_those_above(at):
    at("U").bucket()
    at("S").put("k", b"kept")
    at("U").call("delete_bucket", Bucket="bucket")
    refused("NoSuchBucket", at("U").call, "head_bucket", Bucket="bucket")
    assert at("S").get("k") == b"kept"
    at("U").bucket()
    assert keys(at("U")) == []


def test_uploads_are_each_label_s_own(at):
    at("U").bucket()
    begun = at("S").call("create_multipart_upload", Bucket="bucket", Key="k")["UploadId"]
    named = {"Bucket": "bucket", "Key": "k", "UploadId": begun}
    assert at("U").call("list_multipart_uploads", Bucket="bucket")["Uploads"] == []
    refused("NoSuchUpload", at("U").call, "list_parts", **named)
    refused("NoSuchUpload", at("TS").call, "upload_part", body=b"x", PartNumber=1, **named)
    assert at("TS").call("list_parts", **named)["Parts"] == []
    up = {"Bucket": "bucket", "Key": "k", "Tagging": "bastide:label=S"}
    refused("UnsupportedOperation", at("U").call, "create_multipart_upload", **up)


def test_pages_go_over_keys_of_many_labels(at):
    at("U").bucket()
    for number in range(7):
        for marking in ("U", "S", "S//SI", "TS//SI"):
            if (number + len(marking)) % 3:
                at(marking).put(f"k{number}", marking.encode())
    for marking in ("U", "S", "TS//SI", "S//TK"):
        seen, token = [], None
        while True:
            more = {"ContinuationToken": token} if token else {}
            page = at(marking).call("list_objects_v2", Bucket="bucket", MaxKeys=2, **more)
            seen += [each["Key"] for each in page["Contents"]]
            token = page.get("NextContinuationToken")
            if not token:
                break
        assert seen == keys(at(marking)) == sorted(set(seen))


def test_a_bucket_above_its_session_is_refused(at):
    where = {
        "LocationConstraint": REGION.name,
        "Tags": [{"Key": "bastide:label", "Value": "S"}],
    }
    make = {"Bucket": "inner", "CreateBucketConfiguration": where}
    refused("UnsupportedOperation", at("U").call, "create_bucket", **make)
    at("S").call("create_bucket", **make)
    assert at("S").call("get_bucket_tagging", Bucket="inner")["TagSet"] == where["Tags"]


def test_who_raises_a_bucket_takes_no_name_from_one_that_is_there(at):
    at(HIGH).bucket("kept")
    at(HIGH).put("k", b"kept", bucket="kept")
    at("U").clock.advance(1)
    at("U").bucket("kept")
    tags = {"TagSet": [{"Key": "bastide:label", "Value": HIGH}]}
    at("U").call("put_bucket_tagging", Bucket="kept", Tagging=tags)
    assert at(HIGH).get("k", bucket="kept") == b"kept"


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("put_bucket_tagging", {"Tagging": {"TagSet": [{"Key": "told", "Value": "you"}]}}),
        ("delete_bucket_tagging", {}),
        ("put_bucket_policy", {"Policy": "{}"}),
        ("delete_bucket_policy", {}),
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
        ("delete_bucket_encryption", {}),
        ("delete_bucket", {}),
    ],
)
def test_a_bucket_below_is_not_changed_where_ones_own_went_since_the_policies_were_asked(
    at, method, asked
):
    """The authorizer saw one of the session's own label; it was deleted; a lower one is found."""
    at("U").bucket()
    refused("AccessDenied", at(HIGH).call, method, Bucket="bucket", **asked)
    at("U").call(method, Bucket="bucket", **asked)


def test_an_object_below_is_not_tagged_where_ones_own_goes_while_it_is_tagged(at):
    at("U").bucket()
    at("U").put("k", b"low")
    high = at(HIGH)
    high.put("k", b"high")
    write = high.database.write

    def late(work):
        high.database.write = write
        at(HIGH).call("delete_object", Bucket="bucket", Key="k")
        return write(work)

    high.database.write = late
    tags = {"TagSet": [{"Key": "told", "Value": "you"}]}
    refused("NoSuchKey", high.call, "put_object_tagging", Bucket="bucket", Key="k", Tagging=tags)
    assert at("U").call("get_object_tagging", Bucket="bucket", Key="k")["TagSet"] == []


def test_a_bucket_that_is_deleted_goes_to_nobody_below(at):
    """It goes on for those who see what is hidden in it, but not below what it was raised to."""
    at("U").bucket()
    at("U").put("k", b"x", Tagging="bastide:label=U//NOFORN")
    tags = {"TagSet": [{"Key": "bastide:label", "Value": "CUI"}]}
    at("U").call("put_bucket_tagging", Bucket="bucket", Tagging=tags)
    told = {"TagSet": [*tags["TagSet"], {"Key": "told", "Value": "you"}]}
    at("CUI").call("put_bucket_tagging", Bucket="bucket", Tagging=told)
    at("CUI").call("delete_bucket", Bucket="bucket")
    for below in ("U", "U//NOFORN", "CUI"):
        refused("NoSuchBucket", at(below).call, "get_bucket_tagging", Bucket="bucket")
    assert at("CUI//NOFORN").get("k") == b"x"


def test_nobody_fills_the_region_with_labels(at, monkeypatch):
    """Each is a word in every query of those above."""
    at("U").bucket()
    at("U").put("k", b"x", Tagging=f"bastide:label={HIGH}")
    monkeypatch.setattr(labels_in_use, "LABELS_MAX", 2)
    with pytest.raises(Unavailable, match="labels already"):
        at("U").put("k", b"x", Tagging="bastide:label=TS")
    at("U").put("k", b"x", Tagging=f"bastide:label={HIGH}")
    at("U").put("k", b"x")


def test_an_upload_that_was_completed_above_is_not_answered_again_below(at):
    at("U").bucket()
    upload = {"Bucket": "bucket", "Key": "k"}
    upload["UploadId"] = at(HIGH).call("create_multipart_upload", **upload)["UploadId"]
    part = at(HIGH).call("upload_part", body=b"secret", PartNumber=1, **upload)
    done = upload | {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}}
    answer = at(HIGH).call("complete_multipart_upload", **done)
    assert at(HIGH).call("complete_multipart_upload", **done) == answer
    refused("NoSuchUpload", at("U").call, "complete_multipart_upload", **done)


def made_of(store, key):
    arn = s3(REGION, "bucket", key)
    edges = store.database.read(lambda c: derivation_records.sources_of(c, ALICE, [arn]))
    return [(made.label, of.arn.rpartition("/")[2], of.label) for made, of in edges]


def test_what_is_put_above_makes_nothing_there_forget_what_it_was_made_of(at):
    at("U").bucket()
    at("S").put("source", b"x")
    at("S").call("copy_object", Bucket="bucket", Key="k", CopySource="bucket/source")
    assert made_of(at("S"), "k") == [("S", "source", "S")]
    at("U").put("k", b"blind", Tagging="bastide:label=S")
    assert at("S").get("k") == b"x"
    assert made_of(at("S"), "k") == [("S", "source", "S")]
    at("U").put("low", b"y")
    above = {"TaggingDirective": "REPLACE", "Tagging": "bastide:label=S"}
    at("U").call("copy_object", Bucket="bucket", Key="k", CopySource="bucket/low", **above)
    assert made_of(at("S"), "k") == [("S", "source", "S")]
    at("U").call("copy_object", Bucket="bucket", Key="new", CopySource="bucket/low", **above)
    assert made_of(at("S"), "new") == [("S", "low", "U")]
    at("S").put("new", b"z")
    assert made_of(at("S"), "new") == []

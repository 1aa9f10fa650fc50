"""Lower labels on each database: exactly what two officers signed, from above to below, once."""

from hashlib import sha256

import pytest
from tests.officers_kit import Office
from tests.stores import ALICE

from bastide.kernel.approvals import Kind, NotApproved
from bastide.kernel.errors import ServiceError
from bastide.store.downgrades import Asked, Downgrades

HIGH, LONG = "S//SI", 3 * 1024 * 1024


@pytest.fixture
def office(database):
    made = Office(database)
    for name, role in (("ann", "security-officer"), ("bob", "security-officer")):
        made.enrol(name, role)
    made.enrol("rea", "reviewer")
    made.enrol("rob", "releaser")
    return made


@pytest.fixture
def desk(store, office):
    """The operators' lowering, beside a store with a bucket that everybody sees."""
    store.bucket()
    forgotten = []
    book = Slow(office.book)
    made = Downgrades(shelf=store.shelf, approvals=book, forget_buckets=forgotten.append)
    return Desk(store, office, book, made, forgotten)


class Slow:
    """A book that is asked, and meanwhile something happens."""

    def __init__(self, book):
        self._book, self.between = book, lambda: None

    def carry_out(self, *asked):
        self.between()
        return self._book.carry_out(*asked)


class Desk:
    def __init__(self, store, office, book, downgrades, forgotten):
        self.store, self.office, self.book, self.forgotten = store, office, book, forgotten
        self._downgrades = downgrades

    def at(self, marking):
        self.store.marking = marking
        return self.store

    def lower(self, key="k", above=HIGH, below="U", **more):
        asked = {"account": ALICE, "bucket": "bucket", "requester": "operator", "key": key}
        return self._downgrades.lower(Asked(above=above, below=below, **{**asked, **more}))

    def asked(self, *args, **more):
        with pytest.raises(NotApproved) as waits:
            self.lower(*args, **more)
        return waits.value.request_id

    def signed(self, *args, **more):
        """Signed for by both; answers the action that they signed."""
        request = self.asked(*args, **more)
        for name in ("rea", "rob"):
            self.office.say(request, name)
        return dict(self.office.book.find(request).what)

    def requests(self):
        found = self.office.book.listed(all_=False)
        return [each.id for each in found if each.kind is Kind.DOWNGRADE]

    def refused(self, words, *args, **more):
        with pytest.raises(ServiceError, match=words) as told:
            self.lower(*args, **more)
        assert not isinstance(told.value, NotApproved)

    def versioned(self):
        kept = {"Status": "Enabled"}
        self.at("U").call("put_bucket_versioning", Bucket="bucket", VersioningConfiguration=kept)

    def versions(self, marking):
        found = self.at(marking).call("list_object_versions", Bucket="bucket")["Versions"]
        return [each["VersionId"] for each in found]


def absent(store, key="k", bucket="bucket"):
    with pytest.raises(ServiceError) as told:
        store.get(key, bucket=bucket)
    assert told.value.code in ("NoSuchKey", "NoSuchBucket")


@pytest.mark.parametrize("body", [b"", b"small", b"x" * LONG], ids=["empty", "small", "file"])
def test_signed_by_two_an_object_goes_below_once(desk, body):
    desk.at(HIGH).put("k", body, Tagging="bastide:label=S//SI&a=b", Metadata={"m": "n"})
    first = desk.asked()
    absent(desk.at("U"))
    files = len(desk.store.files())
    action = desk.signed()
    assert len(desk.store.files()) == files  # what was sealed to be asked for is gone
    assert desk.office.book.find(first).what == action
    assert {name: action[name] for name in ("account", "bucket", "key", "version", "size")} == {
        "account": ALICE, "bucket": "bucket", "key": "k", "version": "null", "size": len(body),
    }  # fmt: skip
    assert (action["from"], action["to"]) == (HIGH, "U")
    assert action["sha256"] == sha256(body).hexdigest()
    assert desk.lower()["version"] == "null"
    low = desk.at("U").call("get_object", Bucket="bucket", Key="k")
    assert b"".join(low["Body"]) == body
    assert low["Metadata"] == {"m": "n"}
    tags = desk.at("U").call("get_object_tagging", Bucket="bucket", Key="k")["TagSet"]
    assert {each["Key"]: each["Value"] for each in tags} == {"bastide:label": "U", "a": "b"}
    assert desk.at(HIGH).get("k") == body
    assert desk.store.notes.label == "U"
    assert len(desk.store.files()) == files
    desk.refused("no such object")


def test_the_key_of_the_lower_label_seals_it(desk):
    desk.at(HIGH).put("k", b"x")
    desk.signed()
    desk.lower()
    del desk.store.keyring.keks[desk.store.keyring.now[ALICE, HIGH].id]
    assert desk.at("U").get("k") == b"x"


def test_one_signature_is_not_enough(desk):
    desk.at(HIGH).put("k", b"x")
    request = desk.asked()
    desk.office.say(request, "rea")
    assert desk.asked() == request
    absent(desk.at("U"))


@pytest.mark.parametrize("change", ["bytes", "tags", "metadata"])
def test_what_changed_since_it_was_signed_is_another_action(desk, change):
    desk.at(HIGH).put("k", b"old")
    signed = desk.signed()
    if change == "tags":
        tags = {"TagSet": [{"Key": "secret", "Value": "here"}]}
        desk.at(HIGH).call("put_object_tagging", Bucket="bucket", Key="k", Tagging=tags)
    elif change == "metadata":
        desk.at(HIGH).put("k", b"old", Metadata={"secret": "here"})
    else:
        desk.at(HIGH).put("k", b"new")
    again = desk.office.book.find(desk.asked()).what
    assert again != signed
    assert (again["sha256"] == signed["sha256"]) == (change != "bytes")
    absent(desk.at("U"))


def new_bytes(desk):
    desk.at(HIGH).put("k", b"new")


def same_bytes(desk):
    desk.at(HIGH).put("k", b"old")


def new_tags(desk):
    tags = {"TagSet": [{"Key": "secret", "Value": "here"}]}
    desk.at(HIGH).call("put_object_tagging", Bucket="bucket", Key="k", Tagging=tags)


def new_below(desk):
    desk.at("U").put("k", b"theirs")


@pytest.mark.parametrize("change", [new_bytes, same_bytes, new_tags, new_below])
def test_what_changes_while_it_is_lowered_stays_above_and_the_approval_unused(desk, change):
    desk.at(HIGH).put("k", b"old")
    desk.signed()
    (request,) = desk.requests()
    files = desk.store.files()
    desk.book.between = lambda: change(desk)
    desk.refused("Another object" if change is new_below else "changed meanwhile")
    if change is not new_below:
        absent(desk.at("U"))
    assert desk.at(HIGH).get("k") == (b"new" if change is new_bytes else b"old")
    assert desk.office.book.find(request).ended == ""
    assert desk.store.files() == files


def test_a_bucket_that_changes_while_it_is_lowered_stays_above(desk):
    desk.at("S").bucket("inner")
    inner = {"key": "", "bucket": "inner", "above": "S"}
    desk.signed(**inner)
    tags = {"TagSet": [{"Key": "secret", "Value": "here"}]}
    put_tags = {"Bucket": "inner", "Tagging": tags}
    desk.book.between = lambda: desk.at("S").call("put_bucket_tagging", **put_tags)
    desk.refused("changed meanwhile", **inner)
    absent(desk.at("U"), bucket="inner")


def test_a_bucket_takes_no_name_that_was_taken_below_while_it_was_lowered(desk):
    desk.at("S").bucket("inner")
    inner = {"key": "", "bucket": "inner", "above": "S"}
    desk.signed(**inner)
    (request,) = desk.requests()
    desk.book.between = lambda: desk.at("U").bucket("inner")
    desk.refused("Another bucket of that name is there at U", **inner)
    assert desk.office.book.find(request).ended == ""
    desk.at("U").put("k", b"low", bucket="inner")
    assert desk.at("U").get("k", bucket="inner") == b"low"
    desk.at("U").call("delete_object", Bucket="inner", Key="k")
    desk.at("U").call("delete_bucket", Bucket="inner")
    desk.book.between = lambda: None
    desk.lower(**inner)  # the approval was not used up


def test_a_key_of_kms_goes_on_to_seal_it(desk):
    under = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "mine"}
    desk.at(HIGH).put("k", b"x" * LONG, **under)
    keys = desk.store.content.object_keys
    keys.gone.add("mine")
    desk.refused("disabled")
    keys.gone.clear()
    desk.signed()
    desk.lower()
    assert desk.at("U").get("k") == b"x" * LONG
    keys.gone.add("mine")
    with pytest.raises(ServiceError, match="disabled"):
        desk.at("U").get("k")


def test_a_label_that_is_not_below_or_not_of_the_region_is_refused(desk):
    desk.at(HIGH).put("k", b"x")
    for above, below in ((HIGH, HIGH), (HIGH, "TS//SI"), (HIGH, "S//TK"), ("U", "S")):
        desk.refused("is not below", above=above, below=below)
    desk.refused("above what this region holds", above="TS//HCS-P")
    desk.refused("PINK", below="PINK")
    desk.refused("no such object", above="TS//SI")
    desk.refused("does not exist", bucket="nothing")
    desk.refused("does not exist", account="222222222222")
    desk.refused("Invalid version id", version_id="odd")
    assert desk.requests() == []


def test_of_versions_the_one_that_is_signed_goes_and_the_others_stay(desk):
    desk.versioned()
    desk.at("U").put("k", b"low")
    first = desk.at(HIGH).put("k", b"first")["VersionId"]
    second = desk.at(HIGH).put("k", b"second")["VersionId"]
    assert desk.signed(version_id=first)["version"] == first
    made = desk.lower(version_id=first)["version"]
    assert made not in (first, second)
    assert desk.versions("U")[0] == made
    assert desk.at("U").get("k") == b"first"
    assert desk.at(HIGH).get("k") == b"second"
    assert second in desk.versions(HIGH)
    assert first not in desk.versions(HIGH)
    assert len(desk.versions("U")) == 2
    desk.at(HIGH).call("delete_object", Bucket="bucket", Key="k")
    desk.refused("no such object")  # its latest is a mark that it was deleted


def test_nothing_below_is_overwritten(desk):
    desk.at(HIGH).put("k", b"x")
    desk.signed()
    desk.at("U").put("k", b"theirs")
    desk.refused("Another object of that key")
    assert desk.at("U").get("k") == b"theirs"
    desk.at("U").call("delete_object", Bucket="bucket", Key="k")
    desk.lower()
    assert desk.at("U").get("k") == b"x"


def test_parts_become_one_object(desk):
    named = {"Bucket": "bucket", "Key": "k"}
    bodies = [b"a" * (5 * 1024 * 1024), b"b"]
    upload = desk.at(HIGH).call("create_multipart_upload", **named)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": desk.at(HIGH).call(
                "upload_part", body=body, PartNumber=number, UploadId=upload, **named
            )["ETag"],
        }
        for number, body in enumerate(bodies, 1)
    ]
    done = {"MultipartUpload": {"Parts": parts}, "UploadId": upload}
    desk.at(HIGH).call("complete_multipart_upload", **named, **done)
    assert desk.signed()["sha256"] == sha256(b"".join(bodies)).hexdigest()
    desk.lower()
    assert desk.at("U").get("k") == b"".join(bodies)
    assert len(desk.store.files()) == 1


def test_a_bucket_goes_below_and_what_lies_in_it_does_not(desk):
    desk.at("S").bucket("inner")
    desk.at("S").put("k", b"x", bucket="inner")
    desk.refused("lower that first", above="S", bucket="inner")
    inner = {"key": "", "bucket": "inner", "above": "S"}
    desk.refused("not S//SI", **{**inner, "above": HIGH})
    assert desk.signed(**inner)["bucket"] == "inner"
    absent(desk.at("U"), bucket="inner")
    tags = {"TagSet": [{"Key": "bastide:label", "Value": "S"}]}
    desk.at("S").call("put_bucket_tagging", Bucket="inner", Tagging=tags)
    desk.signed(**inner)  # its tags are another action
    desk.lower(**inner)
    assert desk.forgotten == [ALICE]
    shown = desk.at("U").call("get_bucket_tagging", Bucket="inner")["TagSet"]
    assert shown == [{"Key": "bastide:label", "Value": "U"}]
    absent(desk.at("U"), bucket="inner")
    assert desk.at("S").get("k", bucket="inner") == b"x"
    desk.signed(above="S", bucket="inner")
    desk.lower(above="S", bucket="inner")
    assert desk.at("U").get("k", bucket="inner") == b"x"


def test_a_bucket_takes_no_name_below(desk):
    desk.at("S").bucket("twin")
    twin = {"key": "", "bucket": "twin", "above": "S"}
    desk.signed(**twin)
    desk.at("U").bucket("twin")
    desk.refused("Another bucket of that name", **twin)
    assert len(desk.at("S").call("list_buckets")["Buckets"]) == 2
    desk.refused("not S//SI", key="", above=HIGH)

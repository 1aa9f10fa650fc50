"""Weights on their way from one region's bucket into another's: with their licence, and with what
they were made of."""

import msgspec
import pytest
from tests.stores import ALICE, BOB, REGION
from tests.unsafe_models import ONE, safetensors

from bastide.db import derivation_records
from bastide.db.derivations import Thing
from bastide.kernel import arns
from bastide.kernel.errors import ServiceError
from bastide.store.carrying import Carrying
from bastide.transfer.model import Item, Refused
from bastide.transfer.releases import Target
from bastide.transfer.shelving import Shelving
from bastide.transfer.sources import ObjectSource

DATA = safetensors(ONE)
JOB = Thing("arn:aws-us-gov:sagemaker:us-gov-west-1:111111111111:training-job/j", "U")
TARGET = Target(account=BOB, bucket="theirs", prefix="in/", agency="bob")


@pytest.fixture
def carrying(store):
    store.bucket()
    store.bucket("theirs", BOB)
    return Carrying(shelf=store.shelf, region=REGION)


def carried(carrying, key) -> Item:
    (listed,) = carrying.listing(ALICE, "bucket", key)
    source = ObjectSource(carrying=carrying, account=ALICE, bucket="bucket", listed=listed)
    return source.open()[0]


def edges(store, account, arn):
    read = derivation_records.sources_of
    return store.database.read(lambda c: [of for _, of in read(c, account, [arn])])


@pytest.mark.parametrize("said", [
    {"Metadata": {"licence": "MIT"}}, {"Tagging": "license=MIT"},
], ids=["metadata", "tag"])  # fmt: skip
def test_weights_cross_with_their_licence_and_what_they_were_made_of(store, carrying, said):
    store.put("m.safetensors", DATA, **said)
    arn = arns.s3(REGION, "bucket", "m.safetensors")
    store.database.write(lambda c: derivation_records.put(c, ALICE, Thing(arn, "U"), [JOB]))
    item = carried(carrying, "m.safetensors")
    assert item.provenance["licence"] == "MIT"
    shelves = Shelving(
        carrying=carrying, models=None, environments=None, setting_up=None, folder=None
    )
    assert shelves.check(TARGET, [item], None) == []
    shelves.put(TARGET, item, iter([DATA]))
    assert store.get("in/m.safetensors", "theirs", BOB) == DATA
    there = f"{REGION.name}/{arn}", f"{REGION.name}/{JOB.arn}"
    made = arns.s3(REGION, "theirs", "in/m.safetensors")
    assert edges(store, BOB, made) == [Thing(each, "U") for each in there]


def test_an_object_without_a_licence_says_nothing_of_where_it_comes_from(store, carrying):
    store.put("a.txt", b"x", Metadata={"by": "me"})
    assert carried(carrying, "a.txt").provenance == {}


@pytest.mark.parametrize("said", [
    {"metadata": {"a: 1\r\nx-bastide-label: U\r\nb": "x"}}, {"metadata": {"a b": "x"}},
    {"metadata": {"": "x"}}, {"metadata": {"\u0436": "x"}}, {"metadata": {"a": "x" * 2048}},
    {"headers": {"ContentLength": "1"}}, {"headers": {"ETag": "x"}}, {"headers": {"Metadata": "x"}},
    {"headers": {"Expires": "soon"}},
], ids=range(9))  # fmt: skip
def test_another_region_says_nothing_of_an_object_that_a_client_could_not(carrying, said):
    """It would write headers of this region's answers, as the label of an answer is one."""
    item = Item(kind="object", name="a.txt", size=1, sha256="0" * 64, label="U", **said)
    shelves = Shelving(
        carrying=carrying, models=None, environments=None, setting_up=None, folder=None
    )
    with pytest.raises(Refused, match=r"headers|metadata"):
        shelves.check(TARGET, [item], None)
    with pytest.raises(ServiceError):
        shelves.put(TARGET, item, iter([b"x"]))
    good = {"CacheControl": "no-store", "Expires": "2030-01-01T00:00:00+00:00"}
    item = msgspec.structs.replace(item, headers=good, metadata={"By-Me_1": "\u0436"})
    assert shelves.check(TARGET, [item], None) == []


@pytest.mark.parametrize("tokens", ["many", "-1", "4096.0", "9" * 5000])
def test_weights_with_a_context_that_is_none_are_refused_before_anything_is_put(carrying, tokens):
    said = {"model_id": "a.b-v1:0", "licence": "MIT", "context_tokens": tokens}
    item = Item(kind="model", name="m.gguf", size=1, sha256="0" * 64, label="U", provenance=said)
    shelves = Shelving(
        carrying=carrying, models=None, environments=None, setting_up=None, folder=None
    )
    with pytest.raises(Refused, match="no number"):
        shelves.check(TARGET, [item], None)


@pytest.mark.parametrize(("source", "made_of"), [
    ("arn:aws-us-gov:s3:::theirs/mine", "[]"), ("us-gov-west-1/x", "[]"),
    ("us-gov-west-1/arn:a\n", "[]"), ("us-gov-west-1/arn:a", "["), ("us-gov-west-1/arn:a", "{}"),
    ("us-gov-west-1/arn:a", '[["arn:aws-us-gov:s3:::theirs/mine","U"]]'),
    ("us-gov-west-1/arn:a", '[["us-gov-west-1/arn:a"]]'),
    ("us-gov-west-1/arn:a", msgspec.json.encode([["us-gov-west-1/arn:a", "U"]] * 101).decode()),
    ("us-gov-west-1/arn:" + "a" * 1200, "[]"), ("us-gov-west-1/arn:a", '[["r/arn:a","\\ud800"]]'),
], ids=range(10))  # fmt: skip
def test_a_sender_names_nothing_of_this_regions(carrying, source, made_of):
    item = Item(
        kind="object", name="m.safetensors", size=0, sha256="0" * 64, label="U",
        provenance={"licence": "MIT", "source": source, "made_of": made_of},
    )  # fmt: skip
    shelves = Shelving(
        carrying=carrying, models=None, environments=None, setting_up=None, folder=None
    )
    with pytest.raises(Refused, match="what weights were made of"):
        shelves.check(TARGET, [item], None)


def test_what_lies_under_a_key_is_listed_for_the_gate_while_the_key_lets_it(store, carrying):
    """Asked at each ask for a bundle, of what an earlier one has read already, too."""
    store.put("a", b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="one")
    assert [one.key for one in carrying.listing(ALICE, "bucket", "")] == ["a"]
    assert store.content.object_keys.asked[-1][0] == "kms:Decrypt"
    store.content.object_keys.closed.add("one")
    with pytest.raises(ServiceError, match=r"transfer\.bastide may not use it"):
        list(carrying.listing(ALICE, "bucket", ""))


def test_an_object_that_was_tagged_since_is_in_another_state(store, carrying):
    """So a bundle that was broken off is made anew, and no old tag crosses."""

    def state():
        (listed,) = carrying.listing(ALICE, "bucket", "")
        source = ObjectSource(carrying=carrying, account=ALICE, bucket="bucket", listed=listed)
        return source.state

    store.put("a", b"x", Metadata={"about": "it"})
    before = state()
    tags = {"TagSet": [{"Key": "colour", "Value": "red"}]}
    store.call("put_object_tagging", Bucket="bucket", Key="a", Tagging=tags)
    assert state() != before

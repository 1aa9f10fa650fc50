"""`bastide transfer …` on live regions."""

import json

import pytest

BIG = bytes(range(256)) * 40_000  # two chunks


def transfer(region, *words, **options):
    done = region.cli("transfer", *words, "--json", **options)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def test_a_bundle_is_made_listed_and_inspected(region):
    s3 = region.s3("outgoing", "sender")
    s3.put_object(Bucket="outgoing", Key="in/one.txt", Body=b"one", ContentType="text/plain")
    s3.put_object(Bucket="outgoing", Key="in/big.txt", Body=BIG, Metadata={"a": "b"}, Tagging="k=v")
    s3.put_object(Bucket="outgoing", Key="other", Body=b"left")
    words = ("create", "--to", "us-iso-east-1", "--agency", "sender", "--bucket", "outgoing")
    made = transfer(region, *words, "--prefix", "in/")
    assert (made["items"], made["bytes"], made["labels"]) == (2, len(BIG) + 3, ["U"])
    assert [one["name"] for one in made["contents"]] == ["in/big.txt", "in/one.txt"]
    assert made["bundle"] in [row["bundle"] for row in transfer(region, "list")]
    assert transfer(region, "inspect", made["bundle"][:16]) == made
    s3.put_object(Bucket="outgoing", Key="in/one.txt", Body=b"two", ContentType="text/plain")
    delta = transfer(region, *words, "--prefix", "in/", "--base", made["bundle"])
    assert [one["name"] for one in delta["contents"]] == ["in/one.txt"]
    told = region.cli("audit", "show", "--json").stdout
    assert "TransferCreated" in told
    assert made["bundle"] in told


def test_a_harmed_bundle_is_told_as_refused(region):
    region.s3("harmed", "sender").put_object(Bucket="harmed", Key="k", Body=b"body")
    made = transfer(
        region, "create", "--to", "us-iso-east-1", "--agency", "sender", "--bucket", "harmed"
    )
    chunk = region.folder / "transfer" / "bundles" / made["bundle"] / "00000000.chunk"
    chunk.write_bytes(b"BODY")
    assert "not what was signed" in transfer(region, "inspect", made["bundle"], check=False)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--agency", "nobody", "--bucket", "b"), "no agency nobody"),
        (("--agency", "sender", "--bucket", "absent"), "bucket does not exist"),
        (("--model", "absent"), "no model absent"),
        ((), "Name --agency and --bucket"),
    ],
)
def test_what_is_not_there_is_told(region, words, why):
    region.agency("sender")
    assert why in transfer(region, "create", "--to", "us-iso-east-1", *words, check=False)

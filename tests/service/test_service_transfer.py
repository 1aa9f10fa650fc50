"""`bastide transfer …` on live regions."""

import json

import pytest
from tests.approving_region import approve
from tests.live import LiveRegion, toml_for

BIG = bytes(range(256)) * 40_000  # two chunks


LOW, HIGH = "us-gov-west-1", "us-isob-east-1"


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


def gated(folder, name, label):
    """A region whose approvals are files."""
    toml = toml_for(name=name).replace("port = 0\n", f'port = 0\ndefault_label = "{label}"\n', 1)
    return LiveRegion(folder / name, toml=toml, name=name, module="tests.approving_region").start()


def trusting(region, other):
    """Carry the other's anchor here: refused once, approved by two, then taken."""
    file = region.home / "anchor.json"
    file.write_text(other.cli("transfer", "anchor").stdout)
    assert "2 people must approve TrustRegion" in transfer(region, "trust", str(file), check=False)
    approve(region.folder / "approvals", "ann", "bob")
    assert transfer(region, "trust", str(file))["region"] == other.name


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    low, high = gated(folder, LOW, "U"), gated(folder, HIGH, "S")
    trusting(low, high)
    trusting(high, low)
    yield low, high, folder / "spool"
    low.stop()
    high.stop()


def test_a_receiver_that_is_killed_goes_on_where_it_was(two):
    low, high, spool = two
    low.s3("long", "sender").put_object(Bucket="long", Key="k.txt", Body=BIG * 3)
    made = transfer(low, "create", "--to", HIGH, "--agency", "sender", "--bucket", "long")
    transfer(low, "send", made["bundle"], "--spool", str(spool))
    steps = high.control.steps("/transfers-receive", {"spool": str(spool)})
    next(steps)
    high.kill()
    arriving = {
        path.name: path.stat().st_ino for path in (high.folder / "transfer").rglob("*.chunk")
    }
    assert arriving
    high.start()
    outcomes = transfer(high, "receive", "--spool", str(spool))
    assert [(one["bundle"], one["outcome"]) for one in outcomes] == [(made["bundle"], "received")]
    now = {path.name: path.stat().st_ino for path in (high.folder / "transfer").rglob("*.chunk")}
    assert arriving.items() <= now.items()
    assert transfer(high, "inspect", made["bundle"])["contents"] == made["contents"]
    assert transfer(high, "receive", "--spool", str(spool)) == []
    for region, action in ((low, "TransferSent"), (high, "TransferReceived")):
        told = region.cli("audit", "show", "--json").stdout
        assert action in told
        assert made["bundle"] in told

"""`bastide transfer …` on live regions."""

import json
import shutil
import signal
from functools import partial
from hashlib import sha256

import msgspec
import pytest
from tests.gate_live import HIGH, LOW, ask, create, received, request_of, side, transfer
from tests.service.dying_gate import ORDER
from tests.service.test_service_kms import policy_of
from tests.transfer_kit import Held, gate_of, made, sent
from tests.unsafe_models import ONE, safetensors

from bastide.cli.control import CommandFailed
from bastide.evidence.receipts import verify_receipt

DYING = "tests.service.dying_gate"
BELOW, ABOVE, UNNAMED = "us-gov-east-1", "us-iso-east-1", "us-east-1"
BIG = bytes(range(256)) * 40_000  # two chunks


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
    shown = transfer(region, "inspect", made["bundle"][:16])
    assert shown | {"receipt": made["receipt"]} == made
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


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    low = side(folder, LOW, "U", module=DYING)
    more = f"[regions.{HIGH}.transfer]\nsend_down_mib_per_day = 1\n"
    more += f"release_automatically_from = {json.dumps([BELOW, ABOVE])}\n"
    high = side(folder, HIGH, "S", more, module=DYING)
    low.trust(high)
    high.trust(low)
    yield low, high, folder / "spool"
    low.region.stop()
    high.region.stop()


def test_a_receiver_that_is_killed_goes_on_where_it_was(two):
    low, high, spool = two[0].region, two[1].region, two[2]
    low.s3("long", "sender").put_object(Bucket="long", Key="k.txt", Body=BIG * 3)
    made = create(low, HIGH, "sender", "long")
    two[0].send(made["bundle"], spool=str(spool))
    (high.home / ORDER).touch()
    with pytest.raises(CommandFailed, match="broke off before that was done"):
        list(high.control.steps("/transfers-receive", {"spool": str(spool)}))
    assert high.process.wait(60) == -signal.SIGKILL
    arriving = {
        path.name: path.stat().st_ino for path in (high.folder / "transfer").rglob("*.chunk")
    }
    assert list(arriving) == ["00000000.chunk"], "the second was never there"
    high.start()
    outcomes = ask(high, "-receive", spool=str(spool))
    assert [(one["bundle"], one["outcome"]) for one in outcomes] == [
        (made["bundle"], "received"),
        (made["bundle"], "refused"),  # 256 kinds of bytes are no text
    ]
    now = {path.name: path.stat().st_ino for path in (high.folder / "transfer").rglob("*.chunk")}
    assert arriving.items() <= now.items()
    assert ask(high, f"/{made['bundle']}/inspect")["contents"] == made["contents"]
    assert ask(high, "-receive", spool=str(spool)) == []
    for region, action in ((low, "TransferSent"), (high, "TransferReceived")):
        told = region.cli("audit", "show", "--json").stdout
        assert action in told
        assert made["bundle"] in told


def test_one_that_makes_a_bundle_and_is_killed_goes_on_where_it_was(two):
    low = two[0].region
    s3 = low.s3("huge", "sender")
    for key in ("a", "b"):
        s3.put_object(Bucket="huge", Key=key, Body=BIG * 3)
    half_made = low.folder / "transfer" / "bundles"
    (low.home / ORDER).touch()
    assert "broke off before that was done" in create(low, HIGH, "sender", "huge")
    assert low.process.wait(60) == -signal.SIGKILL
    (place,) = half_made.glob(".*.making")
    there = {path.name: path.stat().st_ino for path in place.glob("*.chunk")}
    low.start()
    made = create(low, HIGH, "sender", "huge")
    assert made["items"] == 2
    now = {path.name: path.stat().st_ino for path in (half_made / made["bundle"]).iterdir()}
    assert now["00000000.chunk"] == there["00000000.chunk"]
    assert now.keys() == {"bundle.json", *(name for name in now if name.endswith(".chunk"))}
    assert list(half_made.glob(".*.making")) == []
    assert ask(low, f"/{made['bundle']}/inspect")["contents"] == made["contents"]
    assert made["bundle"] in low.cli("audit", "show", "--json").stdout


LICENCE = {"licence": "Apache-2.0"}
FILES = {
    "in/notes.txt": "Gr\u00fc\u00dfe\n".encode(),
    "in/table.csv": b"a,b\r\n1,2\r\n",
    "in/config.json": b'{ "a": 1 }',
}


def receipt(region, event_id):
    """What a receipt says, by the region's public key alone."""
    text = region.control.get(f"/receipts/{event_id}")["receipt"]
    found = verify_receipt(text.encode(), (region.folder / "audit" / "audit.pub").read_text())
    assert found.faults == []
    return found.said


def test_a_receipt_is_got_and_verified_offline(region, tmp_path):
    region.s3("kept-receipt", "sender").put_object(Bucket="kept-receipt", Key="k", Body=b"body")
    made = create(region, HIGH, "sender", "kept-receipt")
    key, file = tmp_path / "audit.pub", tmp_path / "receipt"
    key.write_bytes((region.folder / "audit" / "audit.pub").read_bytes())
    region.cli("receipt", "get", made["receipt"], "--out", str(file))
    verify = partial(
        region.cli, "receipt", "verify", str(file), "--key", str(key), "--json", check=False
    )
    assert json.loads(verify().stdout)["receipt"]["bundle"] == made["bundle"]
    content = bytearray(file.read_bytes())
    content[content.index(made["bundle"].encode())] ^= 1
    file.write_bytes(content)
    assert (verify().returncode, json.loads(verify().stdout)["ok"]) == (1, False)


def test_both_sides_have_receipts_of_one_transfer(two, tmp_path):
    low, high, spool = two[0].region, two[1].region, tmp_path / "spool"
    low.s3("proved", "sender").put_object(Bucket="proved", Key="a.txt", Body=b"proved")
    high.s3("proven", "reader")
    made = create(low, HIGH, "sender", "proved")
    sent = two[0].send(made["bundle"], spool=str(spool))
    took, filtered = ask(high, "-receive", spool=str(spool))
    release = partial(
        ask, high, f"/{made['bundle']}/release", agency="reader", bucket="proven", prefix=""
    )
    two[1].approve(release(), "ann", "bob")
    acts = [(low, made), (low, sent), (high, took), (high, filtered), (high, release())]
    told = [receipt(region, row["receipt"]) for region, row in acts]
    assert [one["operation"] for one in told] == [
        "TransferCreated", "TransferSent", "TransferReceived", "TransferFiltered",
        "TransferReleased",
    ]  # fmt: skip
    same = {"bundle": made["bundle"], "sender": LOW, "receiver": HIGH, "direction": "up"}
    same |= {"agency": "sender", "label": "U", "items": 1, "size": 6}
    assert [{name: one[name] for name in same} for one in told] == [same] * 5
    last = told[-1]
    assert (last["officers"], len(last["filters"])) == (["ann", "bob"], 7)
    assert len(last["filter_versions"]) == 1
    approvals = high.control.get("/approvals?all=yes")
    assert last["approval"] in {one["digest"] for one in approvals}
    assert told[1]["officers"] == ["ann", "bob"], "who let it go"
    assert told[0]["filters"] == ["absent: it went through no filter here"]


def test_a_refusal_has_a_receipt_too(two, tmp_path):
    low, high, spool = two[0].region, two[1].region, tmp_path / "spool"
    low.s3("refused", "sender").put_object(Bucket="refused", Key="a.txt", Body=bytes(range(256)))
    bundle = create(low, HIGH, "sender", "refused")["bundle"]
    two[0].send(bundle, spool=str(spool))
    said = receipt(high, ask(high, "-receive", spool=str(spool))[1]["receipt"])
    assert (said["operation"], said["bundle"]) == ("TransferRefused", bundle)
    assert said["refused"].startswith("filter types: item 0")
    assert [one.partition(" ")[0] for one in said["filters"]] == ["types"]
    place = spool / HIGH / bundle
    place.rename(spool / HIGH / ("0" * 64))
    said = receipt(high, ask(high, "-receive", spool=str(spool))[0]["receipt"])
    assert (said["bundle"], said["label"]) == ("0" * 64, "absent: its sender is not believed")


def get(s3, bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)


def test_objects_arrive_only_once_two_people_released_them(two):
    low, high, spool = two[0].region, two[1].region, two[2]
    ours = low.s3("reports", "sender")
    for key, body in FILES.items():
        ours.put_object(
            Bucket="reports", Key=key, Body=body, Metadata={"by": "low"}, Tagging="k=v",
            ContentType="text/plain",
        )  # fmt: skip
    weights = safetensors(ONE)
    ours.put_object(Bucket="reports", Key="in/w.safetensors", Body=weights, Metadata=LICENCE)
    theirs = high.s3("arrivals", "reader")
    bundle = create(low, HIGH, "sender", "reports", "in/")["bundle"]
    two[0].send(bundle, spool=str(spool))
    assert received(high, spool) == [("received", ""), ("filtered", "")]
    where = {"agency": "reader", "bucket": "arrivals", "prefix": "low/"}
    release = partial(ask, high, f"/{bundle}/release", **where)
    two[1].approve(release(), "ann")
    refusal = release()
    assert theirs.list_objects_v2(Bucket="arrivals")["KeyCount"] == 0
    two[1].approve(refusal, "bob")
    words = ("--agency", "reader", "--bucket", "arrivals", "--prefix", "low/")
    assert transfer(high, "release", bundle, *words)["released_by"] == ["ann", "bob"]
    assert "released before" in release()
    found = get(theirs, "arrivals", "low/in/notes.txt")
    assert found["Body"].read() == FILES["in/notes.txt"]
    assert (found["Metadata"], found["ContentType"]) == ({"by": "low"}, "text/plain")
    tags = theirs.get_object_tagging(Bucket="arrivals", Key="low/in/notes.txt")["TagSet"]
    assert tags == [{"Key": "k", "Value": "v"}]
    assert get(theirs, "arrivals", "low/in/table.csv")["Body"].read() == b"a,b\n1,2\n"
    assert get(theirs, "arrivals", "low/in/config.json")["Body"].read() == b'{"a":1}'
    arn = "arn:aws-iso-b:s3:::arrivals/low/in/w.safetensors"
    (edge,) = json.loads(high.cli("label", "show", arn, "--agency", "reader", "--json").stdout)[
        "edges"
    ]
    assert edge["from_arn"] == f"{LOW}/arn:aws-us-gov:s3:::reports/in/w.safetensors"
    keys = json.loads(high.cli("keys", "list", "--json").stdout)
    assert {row["label"] for row in keys if row["agency"] == "reader"} == {"U"}
    for region, action in ((low, "TransferSent"), (high, "TransferReleased")):
        told = region.cli("audit", "show", "--json").stdout
        assert action in told
        assert bundle in told
        assert f"sha256:{sha256(weights).hexdigest()} Apache-2.0" in told


def test_nothing_goes_down_that_no_reviewer_saw_and_no_two_released(two, tmp_path):
    low, high, spool = two[0].region, two[1].region, two[2]
    s3 = high.s3("answers", "writer")
    s3.put_object(Bucket="answers", Key="above/a.txt", Body=b"x", Tagging="bastide:label=S")
    s3.put_object(
        Bucket="answers", Key="fit/config.json", Body=b'{ "a": 1 }', Tagging="t=canary-in-tag",
        Metadata={"m": "canary-in-metadata"}, ContentLanguage="canary-in-header",
    )  # fmt: skip
    above = create(high, LOW, "writer", "answers", "above/")["bundle"]
    assert "above what a region may hold" in ask(high, f"/{above}/filter")
    assert "above what a region may hold" in ask(high, f"/{above}/send", spool=str(spool))
    padded = create(high, LOW, "writer", "answers", "fit/")["bundle"]
    bundle = ask(high, f"/{padded}/filter")["bundle"]
    assert "send the clean copy" in ask(high, f"/{padded}/send", spool=str(spool))
    send = partial(ask, high, f"/{bundle}/send", spool=str(spool))
    assert "no reviewer has seen items 0" in send()
    out, said = tmp_path / "item", tmp_path / "statement"
    words = ("review", bundle, "--item", "0", "--out", str(out))
    two[1].approve(transfer(high, *words, check=False), "ann", "eve")
    assert not out.exists(), "nobody reads an agency's content alone"
    transfer(high, *words)
    assert out.read_bytes() == b'{"a":1}'
    assert "no reviewer has seen its statement" in send()
    transfer(high, "review", bundle, "--statement", "--out", str(said))
    for canary in (b"canary-in-metadata", b"canary-in-tag", b"canary-in-header", b"fit/config"):
        assert canary in said.read_bytes()
    assert sha256(said.read_bytes()).hexdigest() == bundle, "it is what is signed and released"
    two[1].approve(send(), "ann", "bob")
    two[1].approve(send(), "eve")
    assert not (spool / LOW).exists()
    assert send()["bundle"] == bundle
    assert received(low, spool) == [("received", ""), ("filtered", "")]
    theirs = low.s3("answered", "reader")
    release = partial(ask, low, f"/{bundle}/release", agency="reader", bucket="answered", prefix="")
    refusal = release()
    assert "direction': 'down" in asked_for(low, refusal)
    two[0].approve(refusal, "ann", "bob")
    assert release()["released_by"] == ["ann", "bob"]
    assert get(theirs, "answered", "fit/config.json")["Body"].read() == b'{"a":1}'


def test_what_is_said_of_empty_objects_is_taken_from_the_budget(two, tmp_path):
    high = two[1].region
    s3 = high.s3("hollow", "writer")
    tags = "&".join(f"{key:0128}={'x' * 256}" for key in range(10))
    for number in range(150):
        s3.put_object(
            Bucket="hollow", Key=f"{number}.txt", Metadata={"m": "x" * 2000}, Tagging=tags
        )
    made = create(high, LOW, "writer", "hollow")
    assert made["bytes"] == 0
    assert ask(high, f"/{made['bundle']}/filter")["bundle"] == made["bundle"]
    refusal = ask(high, f"/{made['bundle']}/send", spool=str(tmp_path))
    assert "bytes went down today" in refusal
    assert f"more than {1 << 20}" in refusal


def test_a_region_without_officers_trusts_nobody(region, tmp_path):
    file = tmp_path / "anchor.json"
    file.write_text(region.cli("transfer", "anchor").stdout.replace(region.name, HIGH))
    assert "asked for" in transfer(region, "trust", str(file), check=False)


def crossed(two, made, spool, **where):
    """Through the whole gate; what the officers of the high region were shown, and what it
    answered."""
    high = two[1].region
    two[0].send(made["bundle"], spool=str(spool))
    assert received(high, spool) == [("received", ""), ("filtered", "")]
    release = partial(ask, high, f"/{made['bundle']}/release", **where)
    refusal = release()
    shown = asked_for(high, refusal)
    two[1].approve(refusal, "ann", "bob")
    return shown, release()


def asked_for(region, refusal):
    """What officers are shown of what waits for them."""
    return str(region.control.get(f"/approvals/{request_of(refusal)}")["action"])


@pytest.mark.parametrize(("sender", "ceiling", "by"), [
    (BELOW, "U", []), (ABOVE, "TS", ["ann", "bob"]), (UNNAMED, "U", ["ann", "bob"]),
])  # fmt: skip
def test_the_sites_policy_releases_what_comes_from_below_and_is_named(
    two, tmp_path, sender, ceiling, by
):
    """Named are two senders, of which one is not below. They are gates without a region."""
    high, other = two[1].region, gate_of(tmp_path / "gate", sender, ceiling)
    two[1].trust_anchor(msgspec.to_builtins(other.anchor()))
    other.trusted(json.dumps(high.control.get("/transfers-anchor")).encode())
    bucket = f"from-{sender}"
    theirs = high.s3(bucket, "reader")
    bundle = made(other, Held(f"{sender}.txt", b"x"), to=HIGH).digest
    if ceiling == "U":
        sent(other, other.named(bundle), tmp_path / "spool")
    else:
        shutil.copytree(other.named(bundle).folder, tmp_path / "spool" / HIGH / bundle)
    assert received(high, tmp_path / "spool") == [("received", ""), ("filtered", "")]
    where = {"agency": "reader", "bucket": bucket, "prefix": ""}
    done = ask(high, f"/{bundle}/release", **where)
    if by:
        assert theirs.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
        two[1].approve(done, *by)
        done = ask(high, f"/{bundle}/release", **where)
    assert done["released_by"] == by
    assert get(theirs, bucket, f"{sender}.txt")["Body"].read() == b"x"
    said = receipt(high, done["receipt"])
    assert said["officers"] == by
    nobody = "absent: nobody had to approve it", "nobody: the site's policy"
    assert (said["approval"] == nobody[0]) == (not by)
    records = high.cli("audit", "show", "--json").stdout.splitlines()
    (record,) = [one for one in records if "TransferReleased" in one and bundle in one]
    assert (nobody[1] in record) == (not by)


SOURCE = {
    "kb/guide.md": b"# Guide\n",
    "kb/guide.md.metadata.json": b'{"metadataAttributes":{"year":2026}}',
    "kb/table.csv": b"question,answer\nwho,we\n",
}


def sealing(region, bucket):
    """A bucket's default key, under which the gate may put."""
    kms = region.client("kms", "reader")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    admin = region.client("sts", "reader").get_caller_identity()["Arn"]
    lets = {"Effect": "Allow", "Principal": {"AWS": admin}, "Action": "kms:*", "Resource": "*"}
    gate = {**lets, "Principal": {"Service": "transfer.bastide"}, "Action": "kms:GenerateDataKey"}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy_of(lets, gate))
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    }
    region.client("s3", "reader").put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    return key


def test_a_prefix_carries_all_that_the_source_of_a_knowledge_base_is(two, tmp_path):
    """A data source of type S3 is the objects under a prefix, each with its `.metadata.json`."""
    low, high = two[0].region, two[1].region
    ours, theirs = low.s3("sources", "sender"), high.s3("sources", "reader")
    for key, body in SOURCE.items():
        ours.put_object(Bucket="sources", Key=key, Body=body, Tagging="source=kb")
    key = sealing(high, "sources")
    made = create(low, HIGH, "sender", "sources", "kb/")
    crossed(two, made, tmp_path / "spool", agency="reader", bucket="sources", prefix="")
    for name, body in SOURCE.items():
        found = get(theirs, "sources", name)
        assert (found["Body"].read(), found["SSEKMSKeyId"]) == (body, key)
        tags = theirs.get_object_tagging(Bucket="sources", Key=name)["TagSet"]
        assert tags == [{"Key": "source", "Value": "kb"}]


TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": {"AWS": "%s"}, "Action": "sts:AssumeRole"}]}"""
ALLOW = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Action": "s3:GetObject", "Resource": "arn:aws-us-gov:s3:::papers/*"}]}"""


def office(region):
    """An agency with something of everything. Answers the secrets that must not travel."""
    s3, iam = region.s3("papers", "office"), region.client("iam", "office")
    s3.put_bucket_versioning(Bucket="papers", VersioningConfiguration={"Status": "Enabled"})
    iam.create_group(GroupName="staff")
    iam.put_group_policy(GroupName="staff", PolicyName="read", PolicyDocument=ALLOW)
    ann = iam.create_user(UserName="ann", Tags=[{"Key": "team", "Value": "a"}])["User"]
    iam.add_user_to_group(GroupName="staff", UserName="ann")
    policy = iam.create_policy(PolicyName="reading", PolicyDocument=ALLOW)["Policy"]["Arn"]
    iam.create_role(RoleName="clerk", AssumeRolePolicyDocument=TRUST % ann["Arn"])
    iam.attach_role_policy(RoleName="clerk", PolicyArn=policy)
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def set_up(two, spool, **where):
    low = two[0].region
    made = create(low, HIGH, agency_setup="office")
    return made, *crossed(two, made, spool, agency="office", bucket="", prefix="", **where)


def test_an_agency_is_set_up_as_two_people_were_shown(two, tmp_path):
    low, high, spool = two[0].region, two[1].region, tmp_path / "spool"
    secrets = office(low)
    made, shown, done = set_up(two, spool)
    folder = low.folder / "transfer" / "bundles" / made["bundle"]
    carried = b"".join(path.read_bytes() for path in folder.glob("*.chunk"))
    assert not any(secret.encode() in carried for secret in secrets)
    assert "create the agency office" in shown
    assert "create the user ann" in shown
    assert "arn:aws-iso-b:s3:::papers/*" in shown
    assert done["released_by"] == ["ann", "bob"]
    account = high.account("office")["account_id"]
    iam, s3 = high.client("iam", "office"), high.client("s3", "office")
    groups = iam.list_groups_for_user(UserName="ann")["Groups"]
    assert [group["GroupName"] for group in groups] == ["staff"]
    assert iam.list_access_keys(UserName="ann")["AccessKeyMetadata"] == []
    role = iam.get_role(RoleName="clerk")["Role"]
    trusted = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]
    assert trusted == f"arn:aws-iso-b:iam::{account}:user/ann"
    (attached,) = iam.list_attached_role_policies(RoleName="clerk")["AttachedPolicies"]
    assert attached["PolicyArn"] == f"arn:aws-iso-b:iam::{account}:policy/reading"
    assert s3.get_bucket_versioning(Bucket="papers")["Status"] == "Enabled"
    wanted = [{"AttributeKey": "EventName", "AttributeValue": "CreateUser"}]
    trail = high.client("cloudtrail", "office")
    (event,) = trail.lookup_events(LookupAttributes=wanted)["Events"]
    assert json.loads(event["CloudTrailEvent"])["userAgent"] == "bastide transfer"
    _, shown, _ = set_up(two, spool)
    assert "leave the agency office as it is" in shown
    low.client("iam", "office").put_user_policy(
        UserName="ann", PolicyName="more", PolicyDocument=ALLOW
    )
    _, shown, _ = set_up(two, spool)
    assert "give the user ann the policy more" in shown
    assert "create" not in shown
    assert iam.list_user_policies(UserName="ann")["PolicyNames"] == ["more"]

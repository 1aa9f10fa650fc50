"""Lower labels by the real command: refused, signed by two, lowered, seen below."""

import json
from hashlib import sha256

import pytest
from botocore.exceptions import ClientError
from tests.officers_live import Desk
from tests.walls_live import People, walled

from bastide.kernel.statements import Verdict

WHERE = {"LocationConstraint": "us-gov-west-1"}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    region = walled(tmp_path_factory.mktemp("walls"))
    try:
        made = People(region, Desk(region, tmp_path_factory.mktemp("officers")))
        made.begin()
        for name, role in (("rea", "reviewer"), ("rob", "releaser")):
            made.desk.enrol(name, role, by=("olga", "oscar"))
        made.at("U").create_bucket(Bucket="shared", CreateBucketConfiguration=WHERE)
        yield made
    finally:
        region.stop()


def words(people, thing, above="S//SI"):
    return (
        "label", "lower", f"s3://{thing}", "--agency", people.agency, "--from", above, "--to", "U",
    )  # fmt: skip


def unseen(method, **named):
    with pytest.raises(ClientError) as told:
        method(**named)
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_an_object_is_seen_below_once_two_have_signed_for_it(people):
    low, high = people.at("U"), people.at("S//SI")
    named = {"Bucket": "shared", "Key": "in/it"}
    high.put_object(**named, Body=b"harmless")
    command = words(people, "shared/in/it")
    request = people.desk.waits(*command)
    action = people.region.control.get(f"/approvals/{request}")["action"]
    assert action["sha256"] == sha256(b"harmless").hexdigest()
    people.desk.say(request, Verdict.APPROVE, "rea")
    assert people.desk.waits(*command) == request
    unseen(low.get_object, **named)
    people.desk.say(request, Verdict.APPROVE, "rob")
    (lowered,) = json.loads(people.region.cli(*command, "--json").stdout)
    assert (lowered["from"], lowered["to"], lowered["size"]) == ("S//SI", "U", 8)
    found = low.get_object(**named)
    assert found["Body"].read() == b"harmless"
    assert found["ResponseMetadata"]["HTTPHeaders"]["x-bastide-label"] == "U"
    assert high.get_object(**named)["Body"].read() == b"harmless"
    shown = ("label", "show", "arn:aws-us-gov:s3:::shared/in/it", "--agency", people.agency)
    (edge,) = json.loads(people.region.cli(*shown, "--json").stdout)["edges"]
    assert (edge["label"], edge["from_label"]) == ("U", "S//SI")
    again = people.region.cli(*command, check=False)
    assert (again.returncode, "no such object" in again.stderr) == (1, True)


def test_bytes_that_changed_since_they_were_signed_are_not_lowered(people):
    low, high = people.at("U"), people.at("S//SI")
    named = {"Bucket": "shared", "Key": "changed"}
    high.put_object(**named, Body=b"harmless")
    command = words(people, "shared/changed")
    signed = people.desk.waits(*command)
    people.desk.say(signed, Verdict.APPROVE, "rea", "rob")
    high.put_object(**named, Body=b"a secret")
    assert people.desk.waits(*command) != signed
    unseen(low.get_object, **named)
    assert high.get_object(**named)["Body"].read() == b"a secret"


def test_a_bucket_is_seen_below_with_its_policy_at_work(people):
    low, high = people.at("U"), people.at("S")
    unseen(low.head_bucket, Bucket="inner")
    high.create_bucket(Bucket="inner", CreateBucketConfiguration=WHERE)
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
            "Resource": "arn:aws-us-gov:s3:::inner/*"}  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    high.put_bucket_policy(Bucket="inner", Policy=json.dumps(policy))
    unseen(low.put_object, Bucket="inner", Key="k", Body=b"")
    command = words(people, "inner", above="S")
    people.desk.say(people.desk.waits(*command), Verdict.APPROVE, "rea", "rob")
    people.region.cli(*command)
    low.head_bucket(Bucket="inner")
    with pytest.raises(ClientError, match="AccessDenied"):
        low.put_object(Bucket="inner", Key="k", Body=b"")


def test_what_is_not_below_is_refused(people):
    command = (*words(people, "shared/in/it", above="U")[:-1], "S")
    done = people.region.cli(*command, check=False)
    assert (done.returncode, "is not below" in done.stderr) == (1, True)

"""An agency's own default label by the real command: two sign for it, and it has its effect."""

import json

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
        yield made
    finally:
        region.stop()


def user(people, agency, name):
    """A new user's keys; may everything."""
    iam = people.region.client("iam", agency)
    iam.create_user(UserName=name)
    arn = "arn:aws-us-gov:iam::aws:policy/AdministratorAccess"
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    return {**iam.create_access_key(UserName=name)["AccessKey"], "SessionToken": None}


def label_of(answer):
    return answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-label"]


def shown(people, *words):
    (row,) = json.loads(people.region.cli("agency", "label", *words, "--json").stdout)
    return row["label"], row["own"], row["ungranted"]


def test_an_agencys_default_goes_up_and_down_as_two_sign(people):
    region, desk, words = people.region, people.desk, ("agency", "label", "office")
    keys = user(people, "office", "plain")
    plain = people.with_keys(keys, "s3")
    granted = people.with_keys(user(people, "office", "granted"), "sts")
    grant = ("clearance", "grant", "user/granted", "U", "--agency", "office")
    desk.say(desk.waits(*grant), Verdict.APPROVE, "olga", "oscar")
    region.cli(*grant)
    plain.create_bucket(Bucket="before", CreateBucketConfiguration=WHERE)
    assert shown(people, "office")[:2] == ("U", False)

    request = desk.waits(*words, "S")
    action = region.control.get(f"/approvals/{request}")
    assert (action["kind"], action["action"]["from"], action["action"]["to"]) == (
        "clearance-grant", "U", "S",
    )  # fmt: skip
    assert action["action"]["who_was_granted_nothing_sees_up_to"].startswith("S//")
    desk.say(request, Verdict.APPROVE, "olga")
    assert desk.waits(*words, "S") == request
    assert label_of(plain.head_bucket(Bucket="before")) == "U"
    desk.say(request, Verdict.APPROVE, "oscar")
    assert shown(people, "office", "S")[:2] == ("S", True)
    plain.create_bucket(Bucket="after", CreateBucketConfiguration=WHERE)
    assert label_of(plain.head_bucket(Bucket="after")) == "S"
    with pytest.raises(ClientError, match="AccessDenied"):  # it keeps its label: no write down
        plain.put_object(Bucket="before", Key="k", Body=b"", Tagging="bastide:label=U")
    assert label_of(granted.get_caller_identity()).startswith("U//")  # what both hold
    with pytest.raises(ClientError, match="404"):
        people.with_keys(user(people, "other", "u"), "s3").head_bucket(Bucket="after")
    assert shown(people, "other")[:2] == ("U", False)

    region.kill()
    region.start()
    plain = people.with_keys(keys, "s3")
    assert label_of(plain.head_bucket(Bucket="after")) == "S"
    request = desk.waits(*words, "U")
    action = region.control.get(f"/approvals/{request}")
    assert (action["kind"], sorted(action["missing"])) == ("downgrade", ["releaser", "reviewer"])
    desk.say(request, Verdict.APPROVE, "rea", "rob")
    assert shown(people, "office", "U")[:2] == ("U", True)
    assert label_of(plain.head_bucket(Bucket="before")) == "U"
    with pytest.raises(ClientError, match="404"):  # it keeps its label, and nobody is cleared
        plain.head_bucket(Bucket="after")


def test_what_cannot_be_a_default_is_refused_by_name(people):
    region = people.region
    for marking, why in (("TS//HCS-P", "above what this region holds"), ("X", "no level"),
                         ("U", "already")):  # fmt: skip
        done = region.cli("agency", "label", people.agency, marking, check=False)
        assert (done.returncode, why in done.stderr) == (1, True), done.stderr
    done = region.cli("agency", "label", "nobody", check=False)
    assert (done.returncode, "There is no agency" in done.stderr) == (1, True)

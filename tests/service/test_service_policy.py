"""`bastide policy …` on a live region: what an agency forbids is refused at the next call, what it
permits widens nothing, and one decision is explained in words."""

import json

import pytest
from botocore.exceptions import ClientError

AGENCY = "policed"


@pytest.fixture(scope="module")
def bucket(region):
    region.s3(AGENCY, AGENCY)
    return AGENCY


@pytest.fixture
def policed(region, bucket, tmp_path):
    """Runs a command about the agency's policies; takes all of them away afterwards."""

    def run(command, *words, text=None, check=True):
        file = tmp_path / "narrow.cedar"
        if text is not None:
            file.write_text(text)
            words = (str(file), *words)
        return region.cli("policy", command, *words, "--agency", AGENCY, "--json", check=check)

    yield run
    for each in json.loads(run("list").stdout):
        run("remove", each["name"])


def failure(work, **given):
    with pytest.raises(ClientError) as caught:
        work(**given)
    return caught.value.response["Error"]


FORBID = """forbid (principal, action, resource) when { context.operation == "s3:DeleteObject" };
forbid (principal, action == Bastide::Action::"read", resource)
when { resource.arn like "*/secret/*" };"""


def test_what_an_agency_forbids_is_refused_until_it_is_taken_away(region, policed, bucket):
    s3 = region.client("s3", AGENCY)
    for key in ("plain", "secret/one"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="none")
    policed("put", text=FORBID)
    error = failure(s3.delete_object, Bucket=bucket, Key="plain")
    assert error["Code"] == "AccessDenied"
    assert error["Message"].endswith("with an explicit deny in a policy of the agency")
    assert failure(s3.get_object, Bucket=bucket, Key="secret/one")["Code"] == "AccessDenied"
    assert s3.get_object(Bucket=bucket, Key="plain")["Body"].read() == b"x"
    errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "plain"}]})["Errors"]
    assert [each["Code"] for each in errors] == ["AccessDenied"]
    policed("remove", "narrow")
    s3.delete_object(Bucket=bucket, Key="plain")
    assert s3.get_object(Bucket=bucket, Key="secret/one")["Body"].read() == b"x"


KEEP = """forbid (principal, action == Bastide::Action::"overwrite", resource)
when { resource.kind == "s3/object" };"""


def test_an_agency_that_keeps_all_it_has_takes_what_is_new_alone(region, policed, bucket):
    """Only the write knows what it replaces: the engines are asked again there."""
    s3 = region.client("s3", AGENCY)
    s3.put_object(Bucket=bucket, Key="kept", Body=b"old")
    policed("put", text=KEEP)
    s3.put_object(Bucket=bucket, Key="added", Body=b"new")
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    for work, given in (
        (s3.put_object, {"Body": b"other"}),
        (s3.delete_object, {}),
        (s3.put_object_tagging, {"Tagging": tags}),
    ):
        assert failure(work, Bucket=bucket, Key="kept", **given)["Code"] == "AccessDenied"
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"old"
    arn = f"arn:aws-us-gov:s3:::{bucket}/kept"
    asked = ("--principal", "user/administrator", "--action", "s3:DeleteObject", "--resource", arn)
    why = json.loads(policed("why", *asked).stdout)
    assert why["engine"] == "cedar"
    assert why["policies"] == ["agency/narrow#1"]


def test_another_agency_is_not_narrowed(region, policed):
    policed("put", text="forbid (principal, action, resource);")
    assert failure(region.client("s3", AGENCY).list_buckets)["Code"] == "AccessDenied"
    other = region.s3("unpoliced", "unpoliced")
    other.put_object(Bucket="unpoliced", Key="k", Body=b"x")


def test_a_permit_widens_nothing(region, policed):
    account = region.account(AGENCY)["account_id"]
    iam = region.client("iam", AGENCY)
    iam.create_user(UserName="poor")
    text = f'permit (principal in Bastide::Role::"{account}/poor", action, resource);'
    policed("put", text=text)
    asked = ("--principal", "user/poor", "--action", "s3:GetObject")
    bucket = "arn:aws-us-gov:s3:::policed/k"
    found = json.loads(policed("why", *asked, "--resource", bucket).stdout)
    assert (found["allowed"], found["engine"]) == (False, "iam")
    assert found["words"] == "because no identity-based policy allows the s3:GetObject action"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("permit (principal, action, resource);", "permits without saying whom"),
        ('permit (principal in Bastide::Role::"999999999999/r", action, resource);', "permits"),
        ("forbid (principal, action, resource) when { resource.labl.level > 1 };", "labl"),
        ("forbid (principal, action, resource", "is not Cedar"),
        ("forbid (principal == ?principal, action, resource);", "template"),
        (f"forbid (principal, action, resource) when {{ {'(' * 9000}", "brackets"),
    ],
)
def test_what_may_not_be_stored_is_said_in_words(policed, text, says):
    done = policed("put", text=text, check=False)
    assert done.returncode == 1
    assert says in done.stderr
    assert json.loads(policed("list").stdout) == []


def test_why_names_engine_policy_and_facts(region, policed):
    policed("put", text=FORBID)
    who = ("--principal", "user/administrator")
    bucket = ("--resource", "arn:aws-us-gov:s3:::policed/secret/one")
    found = json.loads(policed("why", *who, "--action", "s3:GetObject", *bucket).stdout)
    assert (found["allowed"], found["engine"]) == (False, "cedar")
    assert found["policies"] == ["agency/narrow#2"]
    assert found["facts"] == {"resource.arn": "arn:aws-us-gov:s3:::policed/secret/one"}
    above = json.loads(
        policed("why", *who, "--action", "s3:GetObject", *bucket, "--session", "U", "--label", "U")
        .stdout
    )  # fmt: skip
    assert above["words"] == "the agency's own policy narrow#2 forbids it"
    lists = json.loads(policed("why", *who, "--action", "s3:ListBucket", *bucket).stdout)
    assert lists["allowed"]
    unknown = policed("why", *who, "--action", "s3:Nonsense", *bucket, check=False)
    assert "is no action" in unknown.stderr


def test_a_text_is_tried_without_being_stored(policed, tmp_path):
    cases = tmp_path / "cases.json"
    bucket = "arn:aws-us-gov:s3:::policed/k"
    case = {"principal": "user/administrator", "resource": bucket}
    cases.write_text(
        json.dumps(
            [
                {**case, "name": "no deletes", "action": "s3:DeleteObject", "expect": "deny"},
                {**case, "name": "reads", "action": "s3:GetObject", "expect": "allow"},
            ]
        )
    )
    found = json.loads(policed("test", "--cases", str(cases), text=FORBID).stdout)
    assert [(each["case"], each["got"], each["met"]) for each in found] == [
        ("no deletes", "deny", True),
        ("reads", "allow", True),
    ]
    assert json.loads(policed("list").stdout) == []
    cases.write_text(json.dumps([{**case, "action": "s3:GetObject", "expect": "deny"}]))
    missed = policed("test", "--cases", str(cases), text=FORBID, check=False)
    assert missed.returncode == 1
    assert "1 of 1 cases are decided otherwise" in missed.stderr

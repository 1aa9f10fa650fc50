"""A user without clearance, with boto3 and the AWS CLI, tries forty ways in.

IAM lets them do everything: what refuses them is the wall. Nothing answers but as if nothing were
there, or with a refusal that would be the same if nothing were.
"""

import json
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError
from tests.clients import client_python
from tests.officers_live import Desk
from tests.service.forty_ways import (
    FREE,
    GONE,
    LABEL,
    LISTS,
    SECRET,
    WHERE,
    Way,
    a_model,
    for_trails,
    hidden,
    nothing,
)
from tests.walls_live import PATH, People, walled

HEADER = "x-bastide-label"


class Site:
    """The outsider, and a session at S//SI beside them."""

    def __init__(self, people):
        self.people, self.clients = people, {}
        iam = people.region.client("iam", people.agency)
        iam.create_user(UserName="outsider")
        iam.put_user_policy(UserName="outsider", PolicyName="all", PolicyDocument=json.dumps(PATH))
        key = iam.create_access_key(UserName="outsider")["AccessKey"]
        self.keys = {"outsider": {**key, "SessionToken": None}, "high": people.assume(LABEL)}
        low = self.client("outsider", "s3")
        low.create_bucket(Bucket="common", CreateBucketConfiguration=WHERE)
        low.put_bucket_policy(Bucket="common", Policy=for_trails("common"))
        enabled = {"Status": "Enabled"}
        low.put_bucket_versioning(Bucket="common", VersioningConfiguration=enabled)

    def client(self, who, service):
        if (who, service) not in self.clients:
            made = self.people.with_keys(self.keys[who], service)
            self.clients[who, service] = made
        return self.clients[who, service]

    def ask(self, who, way: Way, prey):
        service, _, operation = way.call.partition(".")
        return getattr(self.client(who, service), operation)(**way.params(prey))

    def refusal(self, way: Way, prey):
        """The outsider's error: its code, words, status and headers, without the names in it."""
        with pytest.raises(ClientError) as caught:
            self.ask("outsider", way, prey)
        response = caught.value.response
        told = response["ResponseMetadata"]
        assert told["HTTPHeaders"][HEADER] == "U"
        error = {k: v for k, v in response["Error"].items() if k not in ("RequestId", "HostId")}
        # Whether a connection goes on tells how much of a body had arrived.
        names = sorted(told["HTTPHeaders"].keys() - {"connection"})
        return error["Code"], prey.told(json.dumps([error, told["HTTPStatusCode"], names]))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    region = walled(tmp_path_factory.mktemp("forty"))
    try:
        people = People(region, Desk(region, tmp_path_factory.mktemp("officers")))
        people.begin()
        region.cli("env", "build", "sklearn")
        role = region.account(people.agency)["role_arn"].rpartition("/")[2]
        people.clear(f"role/{role}", LABEL)
        yield Site(people)
    finally:
        region.stop()


@pytest.fixture(scope="module")
def kept(site):
    """What no way changes."""
    return hidden(site.people, trail=True)


def still_reads(site, prey):
    found = site.client("high", "s3").get_object(Bucket="common", Key=prey.key)
    assert found["Body"].read().decode() == SECRET


def by_name(ways):
    return [pytest.param(way, id=way.name) for way in ways]


def test_there_are_forty_of_them():
    ways = [way.name for way in (*GONE, *LISTS, *FREE)]
    assert len(ways) == len(set(ways)) >= 40


@pytest.mark.parametrize("way", by_name(GONE))
def test_what_lies_above_answers_as_what_is_not_there(site, kept, way):
    prey = hidden(site.people, trail=way.of_trail) if way.spoils else kept
    code, told = site.refusal(way, prey)
    absent = site.refusal(way, nothing(prey))
    assert (code, told) == (way.code, absent[1])
    site.ask("high", way, prey)


@pytest.mark.parametrize("way", by_name(LISTS))
def test_a_list_holds_nothing_of_what_lies_above(site, kept, way):
    def told(who):
        answer = site.ask(who, way, kept)
        answer.pop("ResponseMetadata")
        return kept.told(json.dumps(answer, default=str))

    mine, theirs = told("outsider"), told("high")
    names = [f"<{f}>" for f in ("bucket", "key_id", "key_arn", "alias", "group", "trail", "model")]
    of_prefix = way.params(kept)  # what one has asked for is told again
    assert len(theirs) > len(mine)
    assert SECRET not in mine
    if not of_prefix:
        assert not any(name in mine for name in names)
        assert any(name in theirs for name in names)


@pytest.mark.parametrize("way", by_name(FREE))
def test_what_lies_above_takes_no_name_and_stays(site, way):
    prey = hidden(site.people, trail=way.of_trail)
    site.ask("outsider", way, prey)
    still_reads(site, prey)
    inside = site.client("high", "s3").get_object(Bucket=prey.bucket, Key="inside")
    assert inside["Body"].read().decode() == SECRET


def test_a_ciphertext_of_above_is_opened_by_nobody_below(site, kept):
    with pytest.raises(ClientError) as caught:
        site.client("outsider", "kms").decrypt(CiphertextBlob=kept.sealed)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    opened = site.client("high", "kms").decrypt(CiphertextBlob=kept.sealed)
    assert opened["Plaintext"].decode() == SECRET


def test_a_part_is_copied_from_nothing_above(site, kept):
    low = site.client("outsider", "s3")
    upload = low.create_multipart_upload(Bucket="common", Key="parts")["UploadId"]
    part = {"Bucket": "common", "Key": "parts", "UploadId": upload, "PartNumber": 1}
    for key in (kept.key, nothing(kept).key):
        with pytest.raises(ClientError) as caught:
            low.upload_part_copy(**part, CopySource={"Bucket": "common", "Key": key})
        assert caught.value.response["Error"]["Code"] == "NoSuchKey"
    low.put_object(Bucket="common", Key="own", Body=b"own")
    low.upload_part_copy(**part, CopySource={"Bucket": "common", "Key": "own"})


def test_many_at_once_are_deleted_nowhere_above(site):
    prey = hidden(site.people)
    wanted = [{"Key": prey.key}, {"Key": prey.key, "VersionId": prey.version}]
    for each in ({"Objects": wanted}, {"Objects": [{"Key": nothing(prey).key}]}):
        answer = site.client("outsider", "s3").delete_objects(Bucket="common", Delete=each)
        assert (len(answer["Deleted"]), "Errors" in answer) == (len(each["Objects"]), False)
    still_reads(site, prey)


def test_a_presigned_url_is_its_signers_own(site, kept):
    def status(who):
        asked = {"Bucket": "common", "Key": kept.key}
        signer = site.people.with_keys(site.keys[who], "s3", signature_version="s3v4")
        url = signer.generate_presigned_url("get_object", Params=asked)
        trust = ssl.create_default_context(
            cafile=site.people.region.agency(site.people.agency).get("AWS_CA_BUNDLE")
        )
        try:
            with urllib.request.urlopen(url, context=trust) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    assert status("high") == (200, SECRET)
    assert status("outsider") == (404, "")


def test_a_bucket_is_not_raised_over_one_that_lies_above(site):
    prey = hidden(site.people)
    low = site.client("outsider", "s3")
    low.create_bucket(Bucket=prey.bucket, CreateBucketConfiguration=WHERE)
    tag = {"TagSet": [{"Key": "bastide:label", "Value": LABEL}]}
    low.put_bucket_tagging(Bucket=prey.bucket, Tagging=tag)
    inside = site.client("high", "s3").get_object(Bucket=prey.bucket, Key="inside")
    assert inside["Body"].read().decode() == SECRET


@pytest.mark.parametrize("label", ["CUI", "S", LABEL, "TS//SI/TK"])
def test_no_session_is_begun_above_ones_clearance(site, label):
    with pytest.raises(ClientError, match="not authorized to work at") as caught:
        site.people.assume(label, site.client("outsider", "sts"))
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.parametrize("tag", ["Bastide:Label", "BASTIDE:LABEL"])
def test_the_labels_tag_counts_in_any_case_of_its_letters(site, tag):
    with pytest.raises(ClientError, match="not authorized to work at"):
        site.client("outsider", "sts").assume_role(
            RoleArn=site.people.role_arn,
            RoleSessionName="sly",
            Tags=[{"Key": tag, "Value": LABEL}],
        )


def test_a_tag_that_only_looks_like_the_labels_is_none(site, kept):
    sts = site.client("outsider", "sts")
    tags = [{"Key": "bastide:label ", "Value": LABEL}]
    keys = sts.assume_role(RoleArn=site.people.role_arn, RoleSessionName="sly", Tags=tags)
    s3 = site.people.with_keys(keys["Credentials"], "s3")
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="common", Key=kept.key)


def test_a_label_that_goes_down_the_chain_raises_nobody(site):
    sts = site.client("outsider", "sts")
    with pytest.raises(ClientError, match="not authorized to work at"):
        sts.assume_role(
            RoleArn=site.people.role_arn, RoleSessionName="sly",
            TransitiveTagKeys=["bastide:label"],
            Tags=[{"Key": "bastide:label", "Value": LABEL}],
        )  # fmt: skip


def test_a_users_own_tag_is_no_clearance(site, kept):
    iam = site.client("outsider", "iam")
    with pytest.raises(ClientError, match="cannot be given to a user"):
        iam.tag_user(UserName="outsider", Tags=[{"Key": "bastide:label", "Value": LABEL}])
    with pytest.raises(ClientError, match="NoSuchKey"):
        site.client("outsider", "s3").get_object(Bucket="common", Key=kept.key)


def test_a_session_token_of_ones_own_sees_no_more(site, kept):
    keys = site.client("outsider", "sts").get_session_token()["Credentials"]
    with pytest.raises(ClientError, match="NoSuchKey"):
        site.people.with_keys(keys, "s3").get_object(Bucket="common", Key=kept.key)


def test_anothers_session_token_fits_no_other_key(site, kept):
    """Its token, with one's own key and with its key's id."""
    high, low = site.keys["high"], site.keys["outsider"]
    mixed = {**low, "SessionToken": high["SessionToken"]}
    halved = {**high, "SecretAccessKey": low["SecretAccessKey"]}
    for keys in (mixed, halved):
        with pytest.raises(ClientError) as caught:
            site.people.with_keys(keys, "s3").get_object(Bucket="common", Key=kept.key)
        code = caught.value.response["Error"]["Code"]
        assert code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken")


def test_a_role_that_is_cleared_lends_its_clearance_to_nobody(site):
    """To pass a role is to have it work, at one's own session's label."""
    low = site.client("outsider", "sagemaker")
    low.create_model(ModelName="passed", **a_model(site.people))
    tags = [{"Key": "bastide:label", "Value": LABEL}]
    with pytest.raises(ClientError) as caught:
        low.create_model(ModelName="sly", Tags=tags, **a_model(site.people))
    assert caught.value.response["Error"]["Code"] == "UnsupportedOperation"
    with pytest.raises(ClientError, match="Could not find model"):
        low.describe_model(ModelName="sly")


def test_calls_of_above_are_on_no_list_of_events(site, kept):
    def names(who):
        lookup = site.client(who, "cloudtrail").lookup_events
        wanted = [{"AttributeKey": "ResourceName", "AttributeValue": kept.trail}]
        return [each["EventName"] for each in lookup(LookupAttributes=wanted)["Events"]]

    assert "CreateTrail" in names("high")
    assert "CreateTrail" not in names("outsider")


def aws(site, who, *words):
    keys = site.keys[who]
    named = {"AWS_ACCESS_KEY_ID": "AccessKeyId", "AWS_SECRET_ACCESS_KEY": "SecretAccessKey"}
    env = {**site.people.region.agency(site.people.agency), "PATH": "/usr/bin:/bin"}
    env.pop("AWS_BEARER_TOKEN_BEDROCK")
    env |= {name: keys[of] for name, of in named.items()}
    env |= {"AWS_SESSION_TOKEN": keys["SessionToken"]} if keys["SessionToken"] else {}
    env |= {"HOME": str(site.people.region.home)}
    command = [str(client_python("awscli").parent / "aws"), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("s3", "cp", "s3://common/{key}", "-"), id="cp"),
        pytest.param(("s3", "ls", "s3://{bucket}"), id="ls"),
        pytest.param(("s3", "mv", "s3://common/{key}", "s3://common/taken"), id="mv"),
        pytest.param(("logs", "filter-log-events", "--log-group-name", "{group}"), id="log"),
        pytest.param(("kms", "list-resource-tags", "--key-id", "{key_id}"), id="tags_of_a_key"),
    ],
)
def test_the_cli_finds_no_more(site, words):
    prey = hidden(site.people)

    def said(who, of):
        asked = [word.format(**vars(of)) for word in words]
        done = aws(site, who, *asked)
        return done.returncode, of.told(done.stdout + done.stderr)

    above = said("outsider", prey)
    assert above[0] != 0
    assert above == said("outsider", nothing(prey))
    assert said("high", prey)[0] == 0

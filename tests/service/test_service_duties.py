"""Auditors: made by two officers, read CloudTrail, and are refused all else, whatever IAM says."""

import gzip
import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.officers_live import Desk
from tests.service.test_service_slice import IMAGE
from tests.trails_live import PREFIX, Site
from tests.waiting import eventually
from tests.walls_live import PATH, walled

from bastide.kernel.statements import Verdict

AGENCY = "watched"
REFUSED = "because the duty of the caller does not permit it"
ROLE = "inspector"


class Watched:
    """An agency with a user and a role that may everything, and that officers can make auditors."""

    def __init__(self, region, desk):
        self.region, self.desk = region, desk
        for name in ("olga", "oscar"):
            desk.enrol(name, "security-officer")
        self.s3 = region.s3("watched", AGENCY)
        self.s3.put_object(Bucket="watched", Key="k", Body=b"content")
        self.iam = region.client("iam", AGENCY)
        self.account = region.account(AGENCY)["account_id"]
        self.role_arn = f"arn:aws-us-gov:iam::{self.account}:role/{ROLE}"
        self.iam.create_user(UserName="ada")
        self.iam.put_user_policy(UserName="ada", PolicyName="all", PolicyDocument=json.dumps(PATH))
        trust = {"Effect": "Allow", "Action": "sts:*", "Principal": {"AWS": self.account}}
        for role in (ROLE, "other"):
            document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
            self.iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)
            self.iam.put_role_policy(
                RoleName=role, PolicyName="all", PolicyDocument=json.dumps(PATH)
            )
        self.ada = self.iam.create_access_key(UserName="ada")["AccessKey"]
        self.sessions = {"ada": self.ada, ROLE: self.assumed()}

    def assumed(self):
        sts = self.region.client("sts", AGENCY)
        return sts.assume_role(RoleArn=self.role_arn, RoleSessionName="ss")["Credentials"]

    def change(self, *words):
        """`bastide duty …`, signed for by two."""
        command = ("duty", *words, "--agency", AGENCY, "--json")
        request = self.desk.waits(*command)
        self.desk.say(request, Verdict.APPROVE, "olga")
        assert self.desk.waits(*command) == request
        self.desk.say(request, Verdict.APPROVE, "oscar")
        return json.loads(self.region.cli(*command).stdout)

    def client(self, service, keys):
        return boto3.client(
            service,
            endpoint_url=self.region.status["endpoint"],
            verify=self.region.agency(AGENCY)["AWS_CA_BUNDLE"],
            region_name=self.region.name,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys.get("SessionToken"),
            config=Config(retries={"max_attempts": 1}),
        )


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    region = walled(tmp_path_factory.mktemp("duties"))
    try:
        yield Watched(region, Desk(region, tmp_path_factory.mktemp("officers")))
    finally:
        region.stop()


@pytest.fixture(scope="module")
def auditors(watched):
    """With keys that they had before they were auditors."""
    assert watched.client("s3", watched.ada).list_buckets()["Buckets"]
    watched.change("grant", "user/ada", "auditor")
    listed = watched.change("grant", f"role/{ROLE}", "auditor")
    assert listed == [
        {"principal": f"role/{ROLE}", "duty": "auditor"},
        {"principal": "user/ada", "duty": "auditor"},
    ]
    return watched


def refused(method, **named):
    with pytest.raises(ClientError) as told:
        method(**named)
    error = told.value.response
    assert error["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"), error
    return error["Error"]["Message"]


@pytest.mark.parametrize("who", ["ada", ROLE])
def test_an_auditor_reads_evidence(auditors, who):
    trail = auditors.client("cloudtrail", auditors.sessions[who])
    for name in ("CreateUser", "CreateRole"):
        wanted = {"AttributeKey": "EventName", "AttributeValue": name}
        assert trail.lookup_events(LookupAttributes=[wanted])["Events"]
    assert trail.describe_trails()["trailList"] == []
    assert trail.list_public_keys()["PublicKeyList"]


def others(watched, keys):
    """What an administrator may, service by service."""
    s3, iam = (watched.client(each, keys) for each in ("s3", "iam"))
    sagemaker, logs = watched.client("sagemaker", keys), watched.client("logs", keys)
    talk, kms = watched.client("bedrock-runtime", keys), watched.client("kms", keys)
    trail = watched.client("cloudtrail", keys)
    turn = {"role": "user", "content": [{"text": "Hello"}]}
    yield s3.get_object, {"Bucket": "watched", "Key": "k"}
    yield s3.put_object, {"Bucket": "watched", "Key": "k", "Body": b"x"}
    yield s3.list_buckets, {}
    yield s3.list_objects_v2, {"Bucket": "watched"}
    yield s3.delete_objects, {"Bucket": "watched", "Delete": {"Objects": [{"Key": "k"}]}}
    yield talk.converse, {"modelId": "bastide.smollm2-135m-instruct-v1:0", "messages": [turn]}
    yield sagemaker.create_training_job, {
        "TrainingJobName": "t", "RoleArn": watched.role_arn,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://watched/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }  # fmt: skip
    yield sagemaker.list_training_jobs, {}
    yield logs.describe_log_groups, {}
    yield kms.list_keys, {}
    yield kms.retire_grant, {"GrantToken": "AQ" * 20}
    yield iam.list_users, {}
    yield iam.create_access_key, {"UserName": "administrator"}
    yield trail.create_trail, {"Name": "mine", "S3BucketName": "watched"}
    yield trail.stop_logging, {"Name": "mine"}


@pytest.mark.parametrize("who", ["ada", ROLE])
def test_an_auditor_is_refused_what_its_policy_allows(auditors, who):
    for method, named in others(auditors, auditors.sessions[who]):
        assert REFUSED in refused(method, **named), method.__name__


@pytest.mark.parametrize("who", ["ada", ROLE])
def test_no_role_leads_out_of_the_duty(auditors, who):
    sts = auditors.client("sts", auditors.sessions[who])
    assert sts.get_caller_identity()["Account"] == auditors.account
    other = auditors.role_arn.replace(ROLE, "other")
    refused(sts.assume_role, RoleArn=other, RoleSessionName="out")


def test_a_session_token_keeps_the_duty(auditors):
    token = auditors.client("sts", auditors.ada).get_session_token()["Credentials"]
    assert REFUSED in refused(auditors.client("s3", token).list_buckets)
    assert auditors.client("cloudtrail", token).lookup_events()["Events"]


def test_a_bearer_key_keeps_the_duty(auditors):
    made = auditors.iam.create_service_specific_credential(
        UserName="ada", ServiceName="bedrock.amazonaws.com"
    )["ServiceSpecificCredential"]
    client = auditors.client("bedrock-runtime", auditors.ada)
    client.meta.events.register(
        "before-send.*",
        lambda request, **_: request.headers.update(
            {"Authorization": f"Bearer {made['ServiceCredentialSecret']}"}
        ),
    )
    turn = {"role": "user", "content": [{"text": "Hello"}]}
    assert REFUSED in refused(
        client.converse, modelId="bastide.smollm2-135m-instruct-v1:0", messages=[turn]
    )


def test_others_read_their_evidence_as_before(auditors):
    trail = auditors.region.client("cloudtrail", AGENCY)
    assert trail.lookup_events()["Events"]


def test_why_says_it(auditors):
    words = ("policy", "why", "--agency", AGENCY, "--principal", "user/ada", "--action")
    shown = auditors.region.cli(
        *words, "s3:GetObject", "--resource", "arn:aws-us-gov:s3:::watched/k"
    ).stdout
    assert "auditors read evidence" in shown


def test_the_administrator_is_no_auditor(auditors):
    told = auditors.region.cli(
        "duty", "grant", "user/administrator", "auditor", "--agency", AGENCY, check=False
    )
    assert told.returncode == 1
    assert "no administrator" in told.stderr


def test_a_new_user_of_the_name_is_no_auditor_and_a_renamed_one_is(auditors):
    iam = auditors.iam
    iam.create_user(UserName="eve")
    auditors.change("grant", "user/eve", "auditor")
    iam.update_user(UserName="eve", NewUserName="eva")
    assert "user/eva" in auditors.region.cli("duty", "list", "--agency", AGENCY).stdout
    iam.delete_user(UserName="eva")
    iam.create_user(UserName="eva")
    assert "user/eva" not in auditors.region.cli("duty", "list", "--agency", AGENCY).stdout


def test_two_officers_end_a_duty(watched):
    watched.iam.create_user(UserName="zoe")
    watched.iam.put_user_policy(UserName="zoe", PolicyName="all", PolicyDocument=json.dumps(PATH))
    keys = watched.iam.create_access_key(UserName="zoe")["AccessKey"]
    watched.change("grant", "user/zoe", "auditor")
    refused(watched.client("s3", keys).list_buckets)
    listed = watched.change("remove", "user/zoe")
    assert "user/zoe" not in {each["principal"] for each in listed}
    assert watched.client("s3", keys).list_buckets()["Buckets"]
    shown = watched.region.cli("audit", "show", "--last", "1000", "--json").stdout
    assert "GrantDuty" in shown
    assert "RemoveDuty" in shown


NOTE = b"what an auditor must not read"


@pytest.fixture(scope="module")
def site(auditors):
    """A trail with two digests, in a bucket where others put things too."""
    made = Site(auditors.region, "watched-trail", AGENCY)
    made.begin()
    made.s3.put_object(Bucket=made.bucket, Key="note", Body=NOTE)
    return made


def planted(site):
    """A key where the trail delivers, which it did not write."""
    return f"{site.keys('CloudTrail')[0].rpartition('/')[0]}/planted.json.gz"


@pytest.mark.parametrize("who", ["ada", ROLE])
def test_an_auditor_validates_the_logs_with_awss_own_client(auditors, site, who):
    said = site.validate(auditors.sessions[who])
    digests, logs = (len(site.keys(kind)) for kind in ("CloudTrail-Digest", "CloudTrail"))
    assert "INVALID" not in said, said
    assert f"{digests}/{digests} digest files valid" in said
    assert f"{logs}/{logs} log files valid" in said
    assert logs >= 2


def test_a_chain_that_crosses_a_rotation_is_valid_to_an_auditor(auditors, site):
    """Two officers end a key; what it signed, and what the new one signs, are one chain."""
    region, desk = auditors.region, auditors.desk
    trail, command = region.client("cloudtrail", AGENCY), ("audit", "rotate-digest-key")
    (old,) = (key["Fingerprint"] for key in trail.list_public_keys()["PublicKeyList"])
    request = desk.waits(*command)
    desk.say(request, Verdict.APPROVE, "olga")
    assert desk.waits(*command) == request
    assert [key["Fingerprint"] for key in trail.list_public_keys()["PublicKeyList"]] == [old]
    desk.say(request, Verdict.APPROVE, "oscar")
    (done,) = json.loads(region.cli(*command, "--json").stdout)
    assert (done["old"], done["request"]) == (old, request)
    assert desk.waits(*command) != request, "an approval ends one key"
    before = site.keys("CloudTrail-Digest")
    auditors.iam.create_user(UserName="after-the-rotation")
    eventually(lambda: site.deliver() and site.keys("CloudTrail-Digest") != before, 120.0)
    signed_by = {
        json.loads(gzip.decompress(site.get(key)["Body"].read()))["digestPublicKeyFingerprint"]
        for key in site.keys("CloudTrail-Digest")
    }
    assert signed_by == {old, done["new"]}
    listed = trail.list_public_keys()["PublicKeyList"]
    assert [key["Fingerprint"] for key in listed] == [old, done["new"]]
    assert listed[0]["ValidityEndTime"] <= listed[1]["ValidityStartTime"]
    said = site.validate(auditors.ada)
    assert "INVALID" not in said, said
    assert f"{len(before) + 1}/{len(before) + 1} digest files valid" in said
    shown = region.cli("audit", "show", "--last", "1000", "--json").stdout
    assert "DigestKeyRotated" in shown
    assert done["new"] in shown


@pytest.mark.parametrize("kind", ["CloudTrail", "CloudTrail-Digest"])
def test_an_auditor_is_told_of_a_file_that_was_tampered_with(auditors, site, kind):
    """Not what stands there now: whoever put that is not the trail."""
    key = site.keys(kind)[0]
    was = site.get(key)
    plain = gzip.decompress(was["Body"].read())
    site.put(key, was, gzip.compress(plain.replace(b"a", b"b", 1)))
    try:
        said = site.validate(auditors.ada)
        reader = auditors.client("s3", auditors.ada)
        with pytest.raises(ClientError, match="NoSuchKey"):
            reader.get_object(Bucket=site.bucket, Key=key)
    finally:
        site.s3.delete_object(Bucket=site.bucket, Key=key)
    assert key in said
    assert "INVALID" in said, said


def test_an_auditor_reads_what_the_delivery_wrote_and_nothing_else(auditors, site):
    s3, delivered = auditors.client("s3", auditors.ada), site.keys("CloudTrail")[-1]
    named = {"Bucket": site.bucket}
    assert s3.get_object(**named, Key=delivered)["Body"].read()
    assert s3.head_object(**named, Key=delivered)["ContentLength"]
    site.s3.put_object(**named, Key=planted(site), Body=NOTE)
    for listing in (s3.list_objects, s3.list_objects_v2):
        for prefix in ("", PREFIX, planted(site)):
            seen = {each["Key"] for each in listing(**named, Prefix=prefix).get("Contents", [])}
            assert seen <= {*site.keys("CloudTrail"), *site.keys("CloudTrail-Digest")}
            assert not seen & {"note", planted(site)}
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(**named, Key=planted(site))
    with pytest.raises(ClientError, match="404"):
        s3.head_object(**named, Key=planted(site))
    for key in ("note", "nothing", f"{PREFIX}/note"):
        assert REFUSED in refused(s3.get_object, **named, Key=key)


def test_an_auditor_changes_nothing_where_a_trail_delivers(auditors, site):
    s3, delivered = auditors.client("s3", auditors.ada), site.keys("CloudTrail")[-1]
    named = {"Bucket": site.bucket, "Key": delivered}
    source = {"Bucket": site.bucket, "Key": delivered}
    version = site.get(delivered).get("VersionId", "null")
    for method, more in (
        (s3.put_object, {"Body": b"x"}),
        (s3.delete_object, {}),
        (s3.copy_object, {"CopySource": source}),
        (s3.create_multipart_upload, {}),
        (s3.put_object_tagging, {"Tagging": {"TagSet": []}}),
        (s3.get_object_tagging, {}),
        (s3.get_object, {"VersionId": version}),
    ):
        assert REFUSED in refused(method, **named, **more), method.__name__
    for method in (s3.list_object_versions, s3.get_bucket_policy, s3.delete_bucket_policy):
        assert REFUSED in refused(method, Bucket=site.bucket), method.__name__
    assert site.get(delivered)["Body"].read()

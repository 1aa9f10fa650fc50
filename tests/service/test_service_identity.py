"""Who may do what, by boto3: policies, sessions, presigned URLs, bearer keys, and no neighbours."""

import json
import ssl
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.live import NAME

READ = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": "arn:aws-us-gov:s3:::guarded/open/*",
        }
    ],
}


@pytest.fixture(scope="module")
def site(region):
    s3 = region.s3("guarded", "who")
    for key in ("open/a", "shut/a"):
        s3.put_object(Bucket="guarded", Key=key, Body=b"content")
    return region


def as_(site, service, keys, **config):
    return boto3.client(
        service,
        endpoint_url=site.status["endpoint"],
        verify=site.agency("who")["AWS_CA_BUNDLE"],
        region_name=NAME,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        config=Config(retries={"max_attempts": 1}, **config),
    )


def refused(call, code="AccessDenied", **request):
    with pytest.raises(ClientError) as found:
        call(**request)
    assert found.value.response["Error"]["Code"] == code


def test_a_narrow_user_may_do_what_its_policy_says(site):
    iam = site.client("iam", "who")
    iam.create_user(UserName="narrow")
    keys = iam.create_access_key(UserName="narrow")["AccessKey"]
    s3 = as_(site, "s3", keys)
    refused(s3.get_object, Bucket="guarded", Key="open/a")
    iam.put_user_policy(UserName="narrow", PolicyName="p", PolicyDocument=json.dumps(READ))
    assert s3.get_object(Bucket="guarded", Key="open/a")["Body"].read() == b"content"
    refused(s3.get_object, Bucket="guarded", Key="shut/a")
    refused(s3.list_buckets)
    refused(as_(site, "sagemaker", keys).list_training_jobs, "AccessDeniedException")
    iam.update_access_key(UserName="narrow", AccessKeyId=keys["AccessKeyId"], Status="Inactive")
    refused(s3.get_object, "InvalidAccessKeyId", Bucket="guarded", Key="open/a")


def test_a_session_is_the_role_and_no_more(site):
    account = site.account("who")["account_id"]
    iam = site.client("iam", "who")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"AWS": f"arn:aws-us-gov:iam::{account}:root"},
            }
        ],
    }
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    iam.put_role_policy(RoleName="reader", PolicyName="p", PolicyDocument=json.dumps(READ))
    sts = site.client("sts", "who")
    keys = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
    s3 = as_(site, "s3", keys)
    assert s3.get_object(Bucket="guarded", Key="open/a")["Body"].read() == b"content"
    refused(s3.get_object, Bucket="guarded", Key="shut/a")
    arn = as_(site, "sts", keys).get_caller_identity()["Arn"]
    assert arn == f"arn:aws-us-gov:sts::{account}:assumed-role/reader/session"
    refused(as_(site, "s3", {**keys, "SessionToken": "x"}).list_buckets, "InvalidAccessKeyId")


def test_a_bucket_policy_denies_even_the_administrator(site):
    s3 = site.client("s3", "who")
    deny = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:DeleteObject",
                "Resource": "arn:aws-us-gov:s3:::guarded/*",
            }
        ],
    }
    s3.put_bucket_policy(Bucket="guarded", Policy=json.dumps(deny))
    refused(s3.delete_object, Bucket="guarded", Key="open/a")
    s3.delete_bucket_policy(Bucket="guarded")
    s3.put_object(Bucket="guarded", Key="open/b", Body=b"content")
    s3.delete_object(Bucket="guarded", Key="open/b")


def test_a_bucket_takes_its_policy_with_it(site):
    s3 = site.client("s3", "who")
    deny = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:GetBucketTagging",
                "Resource": "arn:aws-us-gov:s3:::fleeting",
            }
        ],
    }
    place = {"LocationConstraint": NAME}
    s3.create_bucket(Bucket="fleeting", CreateBucketConfiguration=place)
    s3.put_bucket_policy(Bucket="fleeting", Policy=json.dumps(deny))
    refused(s3.get_bucket_tagging, Bucket="fleeting")
    s3.delete_bucket(Bucket="fleeting")
    s3.create_bucket(Bucket="fleeting", CreateBucketConfiguration=place)
    refused(s3.get_bucket_tagging, "NoSuchTagSet", Bucket="fleeting")
    s3.delete_bucket(Bucket="fleeting")


def test_a_denied_log_group_is_denied_by_its_arn_too(site):
    logs, account = site.client("logs", "who"), site.account("who")["account_id"]
    logs.create_log_group(logGroupName="guarded-logs", tags={"team": "blue"})
    arn = f"arn:aws-us-gov:logs:{NAME}:{account}:log-group:guarded-logs"
    assert logs.filter_log_events(logGroupIdentifier=arn)["events"] == []
    deny = {"Effect": "Deny", "Action": "logs:FilterLogEvents", "Resource": f"{arn}:*"}
    tagged = {"StringEquals": {"aws:ResourceTag/team": "blue"}}
    untag = {"Effect": "Deny", "Action": "logs:Describe*", "Resource": "*", "Condition": tagged}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny, untag]})
    iam = site.client("iam", "who")
    iam.put_user_policy(UserName="administrator", PolicyName="no-logs", PolicyDocument=document)
    for named in ({"logGroupName": "guarded-logs"}, {"logGroupIdentifier": arn}):
        refused(logs.filter_log_events, "AccessDeniedException", **named)
        refused(logs.describe_log_streams, "AccessDeniedException", **named)
    iam.delete_user_policy(UserName="administrator", PolicyName="no-logs")


def test_a_presigned_url_opens_one_object(site):
    s3 = site.client("s3", "who", signature_version="s3v4")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "guarded", "Key": "open/a"})
    context = ssl.create_default_context(cafile=site.agency("who")["AWS_CA_BUNDLE"])
    with urllib.request.urlopen(url, context=context) as answer:
        assert answer.read() == b"content"
    with pytest.raises(urllib.error.HTTPError) as found:
        urllib.request.urlopen(url.replace("open/a", "shut/a"), context=context)
    with found.value as error:
        assert error.code == 403


def test_what_is_not_there_says_so(site):
    refused(site.client("kms", "who").describe_custom_key_stores, "UnsupportedOperation")
    refused(site.client("bedrock-agent", "who").list_flows, "UnsupportedOperation")
    refused(
        site.client("sagemaker", "who").list_pipelines,
        "UnsupportedOperation",
    )


@pytest.mark.parametrize(
    ("service", "operation", "request_"),
    [
        ("s3", "get_object", {"Bucket": "guarded", "Key": "open/a"}),
        ("s3", "get_bucket_policy", {"Bucket": "guarded"}),
        ("iam", "get_user", {"UserName": "narrow"}),
        ("iam", "get_role", {"RoleName": "reader"}),
        ("sagemaker", "describe_training_job", {"TrainingJobName": "slice-1"}),
        ("sagemaker", "describe_endpoint", {"EndpointName": "guarded-endpoint"}),
        (
            "logs",
            "get_log_events",
            {"logGroupName": "guarded-group", "logStreamName": "guarded-stream"},
        ),
    ],
)
def test_a_neighbour_is_like_nothing(site, service, operation, request_):
    """Another agency's thing and a thing that is nowhere answer alike, but for the name."""
    other = getattr(site.client(service, "neighbour"), operation)
    absent = dict.fromkeys(request_, "nowhere-1")
    told = []
    for asked in (request_, absent):
        with pytest.raises(ClientError) as found:
            other(**asked)
        error = found.value.response["Error"]
        message = error["Message"]
        for value in asked.values():
            message = message.replace(value, "NAME")
        told.append(
            (error["Code"], message, found.value.response["ResponseMetadata"]["HTTPStatusCode"])
        )
    assert told[0] == told[1]


def statement(**parts):
    return json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **parts}})


@pytest.fixture
def role(site, request):
    """A role that its account may assume and that may do nothing yet; gone after the test."""
    iam, account = site.client("iam", "who"), site.account("who")["account_id"]
    trust = statement(Action="sts:AssumeRole", Principal={"AWS": account})
    name = request.node.name[:64]
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
    yield made
    for held in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=held)
    iam.delete_role(RoleName=name)


@pytest.fixture
def in_role(site, role):
    """An S3 client of a session of the role."""
    sts = site.client("sts", "who")
    given = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session")
    return as_(site, "s3", given["Credentials"])


def test_a_session_token_of_a_user_is_the_user(site):
    sts, account = site.client("sts", "who"), site.account("who")["account_id"]
    keys = sts.get_session_token(DurationSeconds=900)["Credentials"]
    assert keys["AccessKeyId"].startswith("ASIA")
    told = as_(site, "sts", keys).get_caller_identity()
    assert told["Arn"] == f"arn:aws-us-gov:iam::{account}:user/administrator"
    got = as_(site, "s3", keys).get_object(Bucket="guarded", Key="shut/a")
    assert got["Body"].read() == b"content"
    refused(as_(site, "sts", keys).get_session_token)
    without = {key: value for key, value in keys.items() if key != "SessionToken"}
    refused(as_(site, "sts", without).get_caller_identity, "InvalidClientTokenId")


def test_an_attached_policy_holds_until_it_is_detached(site, role, in_role):
    iam, name = site.client("iam", "who"), role["RoleName"]
    document = statement(Action="s3:GetObject", Resource="arn:aws-us-gov:s3:::guarded/open/*")
    made = iam.create_policy(PolicyName="reads", PolicyDocument=document)["Policy"]
    attached = {"RoleName": name, "PolicyArn": made["Arn"]}
    refused(in_role.get_object, Bucket="guarded", Key="open/a")
    iam.attach_role_policy(**attached)
    assert in_role.get_object(Bucket="guarded", Key="open/a")["Body"].read() == b"content"
    own = iam.list_policies(Scope="Local", OnlyAttached=True)["Policies"]
    assert {"reads": 1}.items() <= {p["PolicyName"]: p["AttachmentCount"] for p in own}.items()
    refused(iam.delete_policy, "DeleteConflict", PolicyArn=made["Arn"])
    iam.detach_role_policy(**attached)
    refused(in_role.get_object, Bucket="guarded", Key="open/a")
    refused(iam.detach_role_policy, "NoSuchEntity", **attached)
    iam.delete_policy(PolicyArn=made["Arn"])
    assert "reads" not in {p["PolicyName"] for p in iam.list_policies(Scope="Local")["Policies"]}


def test_an_inline_policy_holds_until_it_is_deleted(site, role, in_role):
    iam, inline = site.client("iam", "who"), {"RoleName": role["RoleName"], "PolicyName": "p"}
    iam.put_role_policy(**inline, PolicyDocument=json.dumps(READ))
    assert iam.get_role_policy(**inline)["PolicyDocument"] == READ
    assert in_role.get_object(Bucket="guarded", Key="open/a")["Body"].read() == b"content"
    iam.delete_role_policy(**inline)
    refused(in_role.get_object, Bucket="guarded", Key="open/a")
    refused(iam.get_role_policy, "NoSuchEntity", **inline)
    refused(iam.delete_role_policy, "NoSuchEntity", **inline)


def test_a_role_is_bounded_whatever_it_is_given(site, role, in_role):
    iam, name = site.client("iam", "who"), role["RoleName"]
    everything = statement(Action="s3:*", Resource="*")
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=everything)
    made = iam.create_policy(PolicyName="bound", PolicyDocument=json.dumps(READ))["Policy"]
    iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=made["Arn"])
    told = iam.get_role(RoleName=name)["Role"]["PermissionsBoundary"]
    assert told["PermissionsBoundaryArn"] == made["Arn"]
    assert in_role.get_object(Bucket="guarded", Key="open/a")["Body"].read() == b"content"
    refused(in_role.get_object, Bucket="guarded", Key="shut/a")
    iam.delete_role_permissions_boundary(RoleName=name)
    assert in_role.get_object(Bucket="guarded", Key="shut/a")["Body"].read() == b"content"
    iam.delete_policy(PolicyArn=made["Arn"])


def test_what_a_role_is_said_to_be(site, role):
    iam, name = site.client("iam", "who"), role["RoleName"]
    assert (
        iam.update_role_description(RoleName=name, Description="It reads")["Role"]["Description"]
        == "It reads"
    )
    iam.tag_role(RoleName=name, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_role(RoleName=name, TagKeys=["a", "none"])
    told = iam.get_role(RoleName=name)["Role"]
    assert (told["Description"], told["Tags"]) == ("It reads", [{"Key": "b", "Value": "2"}])
    listed = {each["RoleName"]: each["Arn"] for each in iam.list_roles()["Roles"]}
    assert listed[name] == role["Arn"]
    nowhere = {"RoleName": "nowhere", "TagKeys": ["a"]}
    refused(iam.untag_role, "NoSuchEntity", **nowhere)


def test_what_a_principal_could_do_is_what_it_can(site, role, in_role):
    iam = site.client("iam", "who")
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="p", PolicyDocument=json.dumps(READ))
    arns = [f"arn:aws-us-gov:s3:::guarded/{key}" for key in ("open/a", "shut/a")]
    told = iam.simulate_principal_policy(
        PolicySourceArn=role["Arn"], ActionNames=["s3:GetObject"], ResourceArns=arns
    )["EvaluationResults"]
    found = {each["EvalResourceName"]: each["EvalDecision"] for each in told}
    assert found == {arns[0]: "allowed", arns[1]: "implicitDeny"}
    assert in_role.get_object(Bucket="guarded", Key="open/a")["Body"].read() == b"content"
    refused(in_role.get_object, Bucket="guarded", Key="shut/a")
    nobody = f"{role['Arn']}-not"
    request = {"PolicySourceArn": nobody, "ActionNames": ["s3:GetObject"]}
    refused(iam.simulate_principal_policy, "NoSuchEntity", **request)


def test_groups_are_listed_by_path(site):
    iam = site.client("iam", "who")
    for name, path in (("readers", "/staff/"), ("writers", "/staff/"), ("guests", "/")):
        iam.create_group(GroupName=name, Path=path)
    listed = iam.list_groups(PathPrefix="/staff/")["Groups"]
    assert [each["GroupName"] for each in listed] == ["readers", "writers"]
    page = iam.list_groups(MaxItems=1)
    rest = iam.list_groups(Marker=page["Marker"])["Groups"]
    names = [each["GroupName"] for each in [*page["Groups"], *rest]]
    assert sorted(names) == ["guests", "readers", "writers"]
    for name in names:
        iam.delete_group(GroupName=name)
    assert iam.list_groups()["Groups"] == []

"""A region with another name, in another partition: the same code, with names after its own."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.live import NAME, LiveRegion
from tests.service.test_service_slice import IMAGE

EAST = "us-east-1"


@pytest.fixture(scope="module")
def site(tmp_path_factory, new_toml):
    home = tmp_path_factory.mktemp("east") / ("deep" * 25)  # unix sockets' names end at 107 bytes
    live = LiveRegion(home, toml=new_toml(EAST), name=EAST).start()
    yield live
    live.stop()


@pytest.fixture(scope="module")
def account(site):
    return site.account("demo")["account_id"]


def stray(site, service, **config):
    """A client of that region which signs for another one."""
    env = site.agency("demo")
    return boto3.client(
        service, endpoint_url=site.status["endpoint"], verify=env["AWS_CA_BUNDLE"],
        region_name=NAME, aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"max_attempts": 1}, **config),
    )  # fmt: skip


def refusal(call, **request):
    with pytest.raises(ClientError) as found:
        call(**request)
    answer = found.value.response
    return answer["Error"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_caller_is_of_the_region_s_partition(site, account):
    assert site.account("demo")["role_arn"].startswith(f"arn:aws:iam::{account}:role/")
    told = site.client("sts").get_caller_identity()
    assert told["Arn"] == f"arn:aws:iam::{account}:user/administrator"
    user = site.client("iam").create_user(UserName="u")["User"]
    assert user["Arn"] == f"arn:aws:iam::{account}:user/u"
    own = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    site.client("iam").attach_user_policy(UserName="u", PolicyArn=own)
    foreign, _ = refusal(
        site.client("iam").attach_user_policy, UserName="u",
        PolicyArn="arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess",
    )  # fmt: skip
    assert foreign["Code"] == "NoSuchEntity"


def test_a_bucket_needs_no_location_in_the_first_region(site):
    s3 = site.client("s3")
    assert s3.create_bucket(Bucket="eastern")["BucketArn"] == "arn:aws:s3:::eastern"
    assert s3.get_bucket_location(Bucket="eastern").get("LocationConstraint") is None
    assert s3.head_bucket(Bucket="eastern")["BucketRegion"] == EAST
    for place, code in (
        (EAST, "InvalidLocationConstraint"),
        (NAME, "IllegalLocationConstraintException"),
    ):
        told = {"LocationConstraint": place}
        error, status = refusal(s3.create_bucket, Bucket="western", CreateBucketConfiguration=told)
        assert (error["Code"], status) == (code, 400)
    s3.put_object(Bucket="eastern", Key="k", Body=b"content")
    assert s3.get_object(Bucket="eastern", Key="k")["Body"].read() == b"content"


def test_sagemaker_s_and_bedrock_s_names(site, account):
    sagemaker, bedrock = site.client("sagemaker"), site.client("bedrock")
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []
    site.cli("env", "build", "sklearn")
    site.cli("models", "pull", "smollm2-135m")
    made = sagemaker.create_model(
        ModelName="m", ExecutionRoleArn=site.account("demo")["role_arn"],
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://eastern/model.tar.gz"},
    )  # fmt: skip
    assert made["ModelArn"] == f"arn:aws:sagemaker:{EAST}:{account}:model/m"
    (listed,) = sagemaker.list_models()["Models"]
    assert listed["ModelArn"] == made["ModelArn"]
    models = bedrock.list_foundation_models()["modelSummaries"]
    assert models
    for each in models:
        assert each["modelArn"] == f"arn:aws:bedrock:{EAST}::foundation-model/{each['modelId']}"


def test_a_policy_of_another_partition_gives_nothing(site, account):
    iam = site.client("iam")
    answers = iam.simulate_custom_policy(
        PolicyInputList=[
            '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*",'
            ' "Resource": "arn:aws-us-gov:s3:::eastern/*"}}'
        ],
        ActionNames=["s3:GetObject"],
        ResourceArns=["arn:aws:s3:::eastern/k"],
    )["EvaluationResults"]
    assert [each["EvalDecision"] for each in answers] == ["implicitDeny"]


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ("sagemaker", "list_models", "InvalidSignatureException"),
        ("bedrock", "list_foundation_models", "InvalidSignatureException"),
        ("cloudwatch", "list_metrics", "InvalidSignatureException"),
    ],
)
def test_who_signs_for_another_region_is_refused(site, service, call, code):
    error, status = refusal(getattr(stray(site, service), call))
    assert (error["Code"], status) == (code, 403)
    said = f"Credential should be scoped to a valid region, not '{NAME}'"
    assert error["Message"].startswith(said)


def test_s3_says_where_to_go_and_its_clients_go_there(site):
    s3 = stray(site, "s3")
    error, status = refusal(s3.list_buckets)
    assert (error["Code"], error["Region"], status) == ("AuthorizationHeaderMalformed", EAST, 400)
    assert error["Message"].endswith(f"the region '{NAME}' is wrong; expecting '{EAST}'")
    assert s3.get_object(Bucket="eastern", Key="k")["Body"].read() == b"content"

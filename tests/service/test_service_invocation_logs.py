"""Invocations of models, logged to a bucket and to CloudWatch Logs, by boto3."""

import gzip
import json

import pytest
from botocore.exceptions import ClientError
from tests.officers_live import Desk
from tests.service.test_service_bedrock import SMOL, said
from tests.service.test_service_imports import TRUST
from tests.waiting import eventually
from tests.walls_live import People, walled

BUCKET, GROUP = "invocations", "/models"
AGENCY, SECRET = "logger", "S//SI"


@pytest.fixture(scope="module")
def site(trained_region):
    trained_region.s3(BUCKET, AGENCY)
    return trained_region


def role_at(site, agency=AGENCY):
    iam = site.client("iam", agency)
    made = iam.create_role(RoleName="logger", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    lets = [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]
    document = json.dumps({"Version": "2012-10-17", "Statement": lets})
    iam.put_role_policy(RoleName="logger", PolicyName="logs", PolicyDocument=document)
    return made["Arn"]


def config_of(role):
    return {
        "s3Config": {"bucketName": BUCKET, "keyPrefix": "models"},
        "cloudWatchConfig": {"logGroupName": GROUP, "roleArn": role},
        "textDataDeliveryEnabled": True,
    }


def let_bedrock_write(site, s3, agency=AGENCY):
    lets = {
        "Effect": "Allow", "Principal": {"Service": "bedrock.amazonaws.com"},
        "Action": "s3:PutObject", "Resource": f"arn:aws-us-gov:s3:::{BUCKET}/models/AWSLogs/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": site.account(agency)["account_id"]}},
    }  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": [lets]})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=document)


def records_in(s3):
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="models/AWSLogs/").get("Contents", ())
    bodies = [s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed]
    return [json.loads(line) for body in bodies for line in gzip.decompress(body).splitlines()]


def test_invocations_are_logged_where_the_agency_says(site):
    bedrock, s3 = site.client("bedrock", AGENCY), site.client("s3", AGENCY)
    runtime = site.client("bedrock-runtime", AGENCY, read_timeout=120)
    assert "loggingConfig" not in bedrock.get_model_invocation_logging_configuration()
    config = config_of(role_at(site))
    with pytest.raises(ClientError, match="policy of bucket"):
        bedrock.put_model_invocation_logging_configuration(loggingConfig=config)
    let_bedrock_write(site, s3)
    bedrock.put_model_invocation_logging_configuration(loggingConfig=config)
    assert bedrock.get_model_invocation_logging_configuration()["loggingConfig"] == config

    short = {"maxTokens": 4, "temperature": 0.0}
    answer = runtime.converse(
        modelId=SMOL, messages=said("Say hello."), inferenceConfig=short,
        requestMetadata={"team": "a"},
    )  # fmt: skip
    stream = runtime.converse_stream(
        modelId=SMOL, messages=said("Say more."), inferenceConfig=short
    )["stream"]
    assert list(stream)
    body = {"messages": [{"role": "user", "content": "Say it."}], "max_tokens": 4}
    runtime.invoke_model(modelId=SMOL, body=json.dumps(body))["body"].read()
    eventually(lambda: len(records_in(s3)) == 3)
    told = {one["operation"]: one for one in records_in(s3)}
    assert set(told) == {"Converse", "ConverseStream", "InvokeModel"}
    first = told["Converse"]
    assert (first["schemaType"], first["schemaVersion"]) == ("ModelInvocationLog", "1.0")
    assert first["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert first["requestMetadata"] == {"team": "a"}
    assert first["modelId"] == SMOL
    assert first["input"]["inputBodyJson"]["messages"] == said("Say hello.")
    assert first["input"]["inputTokenCount"] == answer["usage"]["inputTokens"]
    assert first["output"]["outputTokenCount"] == answer["usage"]["outputTokens"]
    message = first["output"]["outputBodyJson"]["output"]["message"]
    assert message == answer["output"]["message"]
    assert told["InvokeModel"]["input"]["inputBodyJson"] == body
    assert told["InvokeModel"]["output"]["outputBodyJson"]["choices"]
    logs = site.client("logs", AGENCY)
    lines = logs.filter_log_events(logGroupName=GROUP)["events"]
    assert {one["logStreamName"] for one in lines} == {"aws/bedrock/modelinvocations"}
    assert {json.loads(one["message"])["requestId"] for one in lines} == {
        one["requestId"] for one in told.values()
    }

    bedrock.delete_model_invocation_logging_configuration()
    assert "loggingConfig" not in bedrock.get_model_invocation_logging_configuration()


@pytest.fixture
def people(tmp_path):
    region = walled(tmp_path / "site")
    try:
        region.cli("models", "pull", "smollm2-135m")
        made = People(region, Desk(region, tmp_path / "officers"), agency=AGENCY)
        made.begin()
        yield made
    finally:
        region.stop()


def test_each_is_logged_at_the_label_of_who_asked_and_told_below_to_nobody(people):
    region = people.region
    s3 = region.s3(BUCKET, AGENCY)
    role = role_at(region)
    people.clear("role/logger", SECRET)
    let_bedrock_write(region, s3)
    region.client("bedrock", AGENCY).put_model_invocation_logging_configuration(
        loggingConfig=config_of(role)
    )
    for label, text in (("U", "Of the harbour."), (SECRET, "Of the operation.")):
        people.at(label, "bedrock-runtime", read_timeout=120).converse(
            modelId=SMOL, messages=said(text), inferenceConfig={"maxTokens": 1}
        )

    def told(label):
        """What a session there reads in the bucket, and in the lines."""
        records = records_in(people.at(label))
        lines = people.at(label, "logs").filter_log_events(logGroupName=GROUP)["events"]
        return [
            sorted(
                one["input"]["inputBodyJson"]["messages"][0]["content"][0]["text"] for one in ones
            )
            for ones in (records, [json.loads(line["message"]) for line in lines])
        ]

    both = ["Of the harbour.", "Of the operation."]
    eventually(lambda: len(records_in(people.at(SECRET))) == 2)
    eventually(lambda: told(SECRET) == [both, both[1:]])  # the stream's name is each label's own
    assert told("U") == [both[:1], both[:1]]

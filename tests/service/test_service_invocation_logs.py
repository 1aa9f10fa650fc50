"""Invocations of models, logged to a bucket and to CloudWatch Logs, by boto3."""

import gzip
import json

import pytest
from botocore.exceptions import ClientError
from tests.service.test_service_bedrock import SMOL, said
from tests.service.test_service_imports import TRUST
from tests.waiting import eventually

BUCKET, GROUP = "invocations", "/models"
AGENCY = "logger"


@pytest.fixture(scope="module")
def site(trained_region):
    trained_region.s3(BUCKET, AGENCY)
    return trained_region


def role_at(site):
    iam = site.client("iam", AGENCY)
    made = iam.create_role(RoleName="logger", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    lets = [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]
    document = json.dumps({"Version": "2012-10-17", "Statement": lets})
    iam.put_role_policy(RoleName="logger", PolicyName="logs", PolicyDocument=document)
    return made["Arn"]


def records_in(s3):
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="models/AWSLogs/").get("Contents", ())
    bodies = [s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed]
    return [json.loads(line) for body in bodies for line in gzip.decompress(body).splitlines()]


def test_invocations_are_logged_where_the_agency_says(site):
    bedrock, s3 = site.client("bedrock", AGENCY), site.client("s3", AGENCY)
    runtime = site.client("bedrock-runtime", AGENCY, read_timeout=120)
    assert "loggingConfig" not in bedrock.get_model_invocation_logging_configuration()
    config = {
        "s3Config": {"bucketName": BUCKET, "keyPrefix": "models"},
        "cloudWatchConfig": {"logGroupName": GROUP, "roleArn": role_at(site)},
        "textDataDeliveryEnabled": True,
    }
    with pytest.raises(ClientError, match="policy of bucket"):
        bedrock.put_model_invocation_logging_configuration(loggingConfig=config)
    lets = {
        "Effect": "Allow", "Principal": {"Service": "bedrock.amazonaws.com"},
        "Action": "s3:PutObject", "Resource": f"arn:aws-us-gov:s3:::{BUCKET}/models/AWSLogs/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": site.account(AGENCY)["account_id"]}},
    }  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": [lets]})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=document)
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

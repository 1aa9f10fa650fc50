"""What must not be in the evidence, sent through a live region: bodies, prompts, signatures and
secrets are looked for in its audit log and in its own log."""

import base64
import contextlib
import json
import ssl
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError
from tests.service.test_service_slice import IMAGE
from tests.waiting import wait_for

CANARY = "canary-b4f1"
ENDED = {"Completed", "Failed", "Stopped"}
SMOL = "bastide.smollm2-135m-instruct-v1:0"


@pytest.fixture(scope="module")
def site(trained_region):
    trained_region.s3("secretive", "secretive")
    return trained_region


def contents(site, role):
    """Bodies, prompts, lines and settings, each with the canary in it."""
    s3 = site.client("s3", "secretive")
    s3.put_object(Bucket="secretive", Key="k", Body=CANARY, Metadata={"word": CANARY})
    s3.get_object(Bucket="secretive", Key="k")["Body"].read()
    talk = site.client("bedrock-runtime", "secretive", read_timeout=120)
    turn = {"role": "user", "content": [{"text": f"Say {CANARY}."}]}
    talk.converse(
        modelId=SMOL, messages=[turn], system=[{"text": CANARY}], inferenceConfig={"maxTokens": 2}
    )
    with contextlib.suppress(ClientError):  # a failure must not tell either
        talk.converse(modelId=CANARY[:6], messages=[turn])
    with contextlib.suppress(ClientError):
        site.client("sagemaker-runtime", "secretive").invoke_endpoint(
            EndpointName="none", Body=CANARY, CustomAttributes=CANARY
        )
    logs = site.client("logs", "secretive")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    now = int(s3.head_object(Bucket="secretive", Key="k")["LastModified"].timestamp() * 1000)
    logs.put_log_events(
        logGroupName="g", logStreamName="s", logEvents=[{"timestamp": now, "message": CANARY}]
    )
    sagemaker = site.client("sagemaker", "secretive")
    sagemaker.create_training_job(
        TrainingJobName="secretive",
        RoleArn=role,
        AlgorithmSpecification={
            "TrainingImage": IMAGE, "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", "echo $WORD; exit 3"],
            "ContainerArguments": [CANARY],
        },
        HyperParameters={"password": CANARY},
        Environment={"WORD": CANARY},
        OutputDataConfig={"S3OutputPath": "s3://secretive/out"},
        ResourceConfig={"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )  # fmt: skip
    ended = wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName="secretive"),
        "TrainingJobStatus",
        ENDED,
    )
    assert ended["TrainingJobStatus"] == "Failed"


def credentials(site):
    """Every secret that the region handed out or was shown."""
    env, account = site.agency("secretive"), site.account("secretive")["account_id"]
    iam, sts = site.client("iam", "secretive"), site.client("sts", "secretive")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": account}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    session = sts.assume_role(RoleArn=role, RoleSessionName="ss")["Credentials"]
    token = sts.get_session_token()["Credentials"]
    s3 = site.client("s3", "secretive", signature_version="s3v4")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "secretive", "Key": "k"})
    (signature,) = parse_qs(urlsplit(url).query)["X-Amz-Signature"]
    trusted = ssl.create_default_context(cafile=env["AWS_CA_BUNDLE"])
    assert urllib.request.urlopen(url, context=trusted).read() == CANARY.encode()
    for headers in ({"Authorization": f"Bearer {CANARY}"}, {"X-Amz-Security-Token": CANARY}):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=trusted)
    return [
        env["AWS_SECRET_ACCESS_KEY"],
        env["AWS_BEARER_TOKEN_BEDROCK"],
        key["SecretAccessKey"],
        session["SecretAccessKey"],
        session["SessionToken"],
        token["SessionToken"],
        signature,
    ]


def test_no_content_and_no_secret_is_in_the_evidence(site):
    role = site.account("secretive")["role_arn"]
    contents(site, role)
    secrets = [CANARY, base64.b64encode(CANARY.encode()).decode(), *credentials(site)]
    shown = site.cli("audit", "show", "--last", "100000", "--json").stdout
    for operation in ("s3.PutObject", "bedrock-runtime.Converse", "sagemaker.CreateTrainingJob"):
        assert operation in shown, "the log is the one that was written to"
    log = (site.folder / "region.log").read_text()
    for secret in secrets:
        assert secret not in shown, secret[:6]
        assert secret not in json.dumps(log), secret[:6]

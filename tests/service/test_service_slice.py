"""The thinnest slice of the main job, by boto3 over TLS: who am I, store, train, talk, prove."""

import io
import json
import tarfile

import pytest
from tests.waiting import wait_for

ROLE = "role/BastideExecutionRole"
IMAGE = "414596584902.dkr.ecr.us-gov-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
TRAIN = b"""
import os, json
from pathlib import Path
text = Path(os.environ["SM_CHANNEL_TRAIN"], "t.csv").read_text()
rows = [line.split(",") for line in text.split()]
mean = sum(float(y) for _, y in rows) / len(rows)
print("train:mean=%.3f" % mean, flush=True)
Path(os.environ["SM_MODEL_DIR"], "mean.json").write_text(json.dumps(mean))
"""


def tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_who_am_i(region):
    account = region.account("demo")["account_id"]
    answer = region.client("sts").get_caller_identity()
    assert answer["Account"] == account
    assert answer["Arn"] == f"arn:aws-us-gov:iam::{account}:user/administrator"


def test_store_and_read_back(region):
    s3 = region.s3("slice")
    s3.put_object(Bucket="slice", Key="a/../b ü+c.txt", Body=b"hello" * 1000)
    assert s3.get_object(Bucket="slice", Key="a/../b ü+c.txt")["Body"].read() == b"hello" * 1000
    listed = s3.list_objects_v2(Bucket="slice")
    assert [row["Key"] for row in listed["Contents"]] == ["a/../b ü+c.txt"]


@pytest.fixture(scope="module")
def trained(trained_region):
    region = trained_region
    account = region.account("demo")["account_id"]
    s3, sagemaker = region.s3("jobs"), region.client("sagemaker")
    s3.put_object(Bucket="jobs", Key="train/t.csv", Body=b"1,2\n3,4\n")
    s3.put_object(Bucket="jobs", Key="code/sourcedir.tar.gz", Body=tar({"train.py": TRAIN}))
    sagemaker.create_training_job(
        TrainingJobName="slice-1",
        RoleArn=f"arn:aws-us-gov:iam::{account}:{ROLE}",
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "train:mean", "Regex": "train:mean=([0-9.]+)"}],
        },
        HyperParameters={
            "sagemaker_program": json.dumps("train.py"),
            "sagemaker_submit_directory": json.dumps("s3://jobs/code/sourcedir.tar.gz"),
        },
        InputDataConfig=[
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://jobs/train/"}
                },
            }
        ],
        OutputDataConfig={"S3OutputPath": "s3://jobs/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
    )
    return wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName="slice-1"),
        "TrainingJobStatus",
        {"Completed", "Failed", "Stopped"},
    )


def test_train(trained, trained_region):
    assert trained["TrainingJobStatus"] == "Completed", trained.get("FailureReason")
    assert trained["FinalMetricDataList"][0]["MetricName"] == "train:mean"
    assert trained["FinalMetricDataList"][0]["Value"] == pytest.approx(3.0)
    artifact = trained["ModelArtifacts"]["S3ModelArtifacts"]
    bucket, key = artifact.removeprefix("s3://").split("/", 1)
    body = trained_region.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert json.load(archive.extractfile("mean.json")) == 3.0


def test_log(trained, trained_region):
    logs = trained_region.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="slice-1/")
    name = streams["logStreams"][0]["logStreamName"]
    events = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)
    assert any("train:mean=3.000" in event["message"] for event in events["events"])


def test_talk(trained_region):
    bedrock = trained_region.client("bedrock")
    model = bedrock.list_foundation_models(byOutputModality="TEXT")["modelSummaries"][0]["modelId"]
    runtime = trained_region.client("bedrock-runtime", read_timeout=120)
    turn = [{"role": "user", "content": [{"text": "Say hello."}]}]
    answer = runtime.converse(modelId=model, messages=turn, inferenceConfig={"maxTokens": 8})
    assert answer["output"]["message"]["content"][0]["text"].strip()
    assert answer["usage"]["outputTokens"] <= 8
    stream = runtime.converse_stream(modelId=model, messages=turn, inferenceConfig={"maxTokens": 8})
    events = [next(iter(event)) for event in stream["stream"]]
    assert events[0] == "messageStart"
    assert events[-2:] == ["messageStop", "metadata"]


def test_prove(trained, trained_region):
    done = trained_region.cli("audit", "verify", "--json")
    assert json.loads(done.stdout)["ok"] is True
    found = trained_region.client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "CreateTrainingJob"}]
    )
    assert found["Events"][0]["Username"] == "administrator"


def test_agencies_do_not_see_each_other(region):
    region.s3("private")
    other = region.client("s3", "other")
    with pytest.raises(other.exceptions.NoSuchBucket):
        other.list_objects_v2(Bucket="private")

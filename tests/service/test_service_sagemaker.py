"""SageMaker by boto3: jobs that fail, stop or are refused; endpoints that change."""

import json

import pytest
from botocore.exceptions import ClientError
from tests.service.test_service_slice import IMAGE, tar
from tests.waiting import wait_for

ENDED = {"Completed", "Failed", "Stopped"}
SETTLED = {"InService", "Failed"}
SERVE = b"""
import json, os
def model_fn(model_dir):
    return open(os.path.join(model_dir, "name")).read()
def input_fn(body, content_type):
    return json.loads(body)
def predict_fn(data, model):
    if data == "fail":
        raise RuntimeError("asked to fail")
    return [model, data]
def output_fn(prediction, accept):
    return json.dumps(prediction), "application/json"
"""


@pytest.fixture(scope="module")
def site(trained_region):
    region = trained_region
    s3 = region.s3("learning", "ml")
    for name in ("one", "two"):
        model = tar({"name": name.encode(), "code/inference.py": SERVE})
        s3.put_object(Bucket="learning", Key=f"{name}.tar.gz", Body=model)
    return region


def job(site, name, command, **extra):
    """A training job in the sklearn environment that runs one shell command."""
    request = {
        "TrainingJobName": name,
        "RoleArn": site.account("ml")["role_arn"],
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", command],
        },
        "OutputDataConfig": {"S3OutputPath": "s3://learning/out"},
        "ResourceConfig": {
            "InstanceType": "ml.t3.medium",
            "InstanceCount": 1,
            "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    } | extra
    client = site.client("sagemaker", "ml")
    client.create_training_job(**request)
    return lambda: client.describe_training_job(TrainingJobName=name)


def test_a_failing_job_says_why(site):
    describe = job(site, "fails", "echo the reason >&2; exit 7")
    found = wait_for(describe, "TrainingJobStatus", ENDED)
    assert found["TrainingJobStatus"] == "Failed"
    assert "the reason" in found["FailureReason"]
    assert "exit code: 7" in found["FailureReason"].lower()


def test_a_job_without_end_is_stopped_in_time(site):
    limit = {"MaxRuntimeInSeconds": 1}
    describe = job(site, "endless", "exec sleep 600", StoppingCondition=limit)
    found = wait_for(describe, "TrainingJobStatus", ENDED)
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == (
        "Stopped",
        "MaxRuntimeExceeded",
    )


def test_a_user_stops_a_job(site):
    describe = job(site, "stopped", "exec sleep 600")
    wait_for(describe, "SecondaryStatus", {"Training"})
    site.client("sagemaker", "ml").stop_training_job(TrainingJobName="stopped")
    assert wait_for(describe, "TrainingJobStatus", ENDED)["TrainingJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["s-1"]}}, "VpcConfig"),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "nobody/knows:1",
                    "TrainingInputMode": "File",
                }
            },
            "bastide env import-oci",
        ),
        ({"RoleArn": "arn:aws-us-gov:iam::123456789012:role/BastideExecutionRole"}, "iam:PassRole"),
    ],
)
def test_what_cannot_be_is_refused_by_name(site, extra, says):
    with pytest.raises(ClientError, match=says):
        job(site, "refused", "true", **extra)
    with pytest.raises(ClientError, match="Requested resource not found"):
        site.client("sagemaker", "ml").describe_training_job(TrainingJobName="refused")


def test_outputs_that_are_no_files_fail_the_job(site):
    describe = job(site, "fifo", "mkfifo /opt/ml/model/pipe")
    found = wait_for(describe, "TrainingJobStatus", ENDED)
    assert found["TrainingJobStatus"] == "Failed"
    assert "pipe" in found["FailureReason"]


def test_checkpoints_are_in_s3_while_the_job_runs_and_come_back(site):
    saved = {"CheckpointConfig": {"S3Uri": "s3://learning/saved"}}
    describe = job(site, "saves", "echo 1 > /opt/ml/checkpoints/step; exec sleep 600", **saved)
    s3 = site.client("s3", "ml")

    def seen():
        found = s3.list_objects_v2(Bucket="learning", Prefix="saved/").get("Contents", [])
        return {"keys": ",".join(each["Key"] for each in found)}

    wait_for(seen, "keys", {"saved/step"})
    assert describe()["TrainingJobStatus"] == "InProgress"
    site.client("sagemaker", "ml").stop_training_job(TrainingJobName="saves")
    wait_for(describe, "TrainingJobStatus", ENDED)
    command = "test $(cat /opt/ml/checkpoints/step) = 1 && echo 2 > /opt/ml/checkpoints/step"
    resumed = wait_for(job(site, "resumes", command, **saved), "TrainingJobStatus", ENDED)
    assert resumed["TrainingJobStatus"] == "Completed", resumed.get("FailureReason")
    assert s3.get_object(Bucket="learning", Key="saved/step")["Body"].read() == b"2\n"


def config(client, site, name, *models):
    for model in models:
        client.create_model(
            ModelName=f"{name}-{model}",
            ExecutionRoleArn=site.account("ml")["role_arn"],
            PrimaryContainer={
                "Image": IMAGE,
                "ModelDataUrl": f"s3://learning/{model}.tar.gz",
                "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
            },
        )
    variants = [
        {
            "VariantName": model,
            "ModelName": f"{name}-{model}",
            "InitialInstanceCount": 2 if len(models) == 1 else 1,
            "InitialVariantWeight": 1.0,
            "InstanceType": "ml.t2.medium",
        }
        for model in models
    ]
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)


def test_an_endpoint_serves_changes_and_goes(site):
    client, runtime = site.client("sagemaker", "ml"), site.client("sagemaker-runtime", "ml")

    def ask(body, **extra):
        answer = runtime.invoke_endpoint(
            EndpointName="e", ContentType="application/json", Body=json.dumps(body), **extra
        )
        return json.loads(answer["Body"].read())

    def settled():
        found = wait_for(
            lambda: client.describe_endpoint(EndpointName="e"), "EndpointStatus", SETTLED
        )
        assert found["EndpointStatus"] == "InService", found.get("FailureReason")
        return found

    config(client, site, "first", "one")
    client.create_endpoint(EndpointName="e", EndpointConfigName="first")
    assert settled()["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert [ask(n) for n in range(4)] == [["one", n] for n in range(4)]
    with pytest.raises(ClientError) as refused:
        ask("fail")
    assert refused.value.response["Error"]["Code"] == "ModelError"
    config(client, site, "second", "one", "two")
    client.update_endpoint(EndpointName="e", EndpointConfigName="second")
    wait_for(lambda: client.describe_endpoint(EndpointName="e"), "EndpointStatus", {"InService"})
    assert client.describe_endpoint(EndpointName="e")["EndpointConfigName"] == "second"
    assert {ask(0)[0] for _ in range(8)} == {"one", "two"}
    assert ask(1, TargetVariant="two") == ["two", 1]
    client.delete_endpoint(EndpointName="e")

    def gone():
        try:
            return {"state": client.describe_endpoint(EndpointName="e")["EndpointStatus"]}
        except ClientError as error:
            return {"state": "gone" if "Could not find" in str(error) else str(error)}

    wait_for(gone, "state", {"gone"})


def test_a_model_and_its_tags(site):
    client = site.client("sagemaker", "ml")
    told = {
        "Image": IMAGE,
        "ModelDataUrl": "s3://learning/one.tar.gz",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }
    role = site.account("ml")["role_arn"]
    arn = client.create_model(
        ModelName="tagged", ExecutionRoleArn=role, PrimaryContainer=told,
        Tags=[{"Key": "team", "Value": "blue"}],
    )["ModelArn"]  # fmt: skip
    found = client.describe_model(ModelName="tagged")
    assert (found["ModelArn"], found["ExecutionRoleArn"]) == (arn, role)
    assert told.items() <= found["PrimaryContainer"].items()
    listed = client.list_models(NameContains="agge")["Models"]
    assert [(each["ModelName"], each["ModelArn"]) for each in listed] == [("tagged", arn)]
    added = [{"Key": "team", "Value": "red"}, {"Key": "cost", "Value": "é"}]
    client.add_tags(ResourceArn=arn, Tags=added)
    tags = client.list_tags(ResourceArn=arn)["Tags"]
    assert {each["Key"]: each["Value"] for each in tags} == {"team": "red", "cost": "é"}
    client.delete_tags(ResourceArn=arn, TagKeys=["team", "none"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "cost", "Value": "é"}]
    client.delete_model(ModelName="tagged")
    assert client.list_models(NameContains="agge")["Models"] == []
    with pytest.raises(ClientError, match="Could not find model"):
        client.describe_model(ModelName="tagged")


def test_endpoint_configurations_are_told_as_they_were_made(site):
    client = site.client("sagemaker", "ml")
    config(client, site, "told", "one", "two")
    found = client.describe_endpoint_config(EndpointConfigName="told")
    variants = found["ProductionVariants"]
    assert [each["ModelName"] for each in variants] == ["told-one", "told-two"]
    listed = client.list_endpoint_configs(NameContains="told")["EndpointConfigs"]
    assert [each["EndpointConfigArn"] for each in listed] == [found["EndpointConfigArn"]]
    client.delete_endpoint_config(EndpointConfigName="told")
    assert client.list_endpoint_configs(NameContains="told")["EndpointConfigs"] == []
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        client.describe_endpoint_config(EndpointConfigName="told")

"""SageMaker behind the wall, by boto3: a session at S//SI trains and serves on data of that label,
and one at U of the same agency sees nothing of it, takes the same names, and runs its own job."""

import json

import pytest
from botocore.exceptions import ClientError
from tests.officers_live import Desk
from tests.service.test_service_sagemaker import ENDED, SERVE, SETTLED
from tests.service.test_service_slice import IMAGE
from tests.waiting import wait_for
from tests.walls_live import People, walled

HIGH, LOW = "S//SI", "U"
WHERE = {"LocationConstraint": "us-gov-west-1"}
HEADER = "x-bastide-label"
COPY = "cp -r /opt/ml/input/data/train/. /opt/ml/model/; echo loss=1"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A job and an endpoint of the name `same` at S, and a job of that name at U."""
    region = walled(tmp_path_factory.mktemp("walls"))
    try:
        region.cli("env", "build", "sklearn")
        made = People(region, Desk(region, tmp_path_factory.mktemp("officers")))
        made.begin()
        made.clear("role/BastideExecutionRole", HIGH)
        for label in (HIGH, LOW):
            train(made, label)
        serve(made)
        yield made
    finally:
        region.stop()


def train(people, label):
    s3, sagemaker = people.at(label), people.at(label, "sagemaker")
    s3.create_bucket(Bucket="same", CreateBucketConfiguration=WHERE)
    files = {"name": label.encode(), "code/inference.py": SERVE}
    for name, content in files.items():
        s3.put_object(Bucket="same", Key=f"in/{name}", Body=content)
    sagemaker.create_training_job(**job(people, Tags=[{"Key": "at", "Value": label}]))
    found = wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName="same"), "TrainingJobStatus", ENDED
    )
    assert found["TrainingJobStatus"] == "Completed", found
    assert found["ResponseMetadata"]["HTTPHeaders"][HEADER] == label


def job(people, **more):
    return {
        "TrainingJobName": "same",
        "RoleArn": people.region.account(people.agency)["role_arn"],
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", COPY],
        },
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://same/in/"}
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://same/out"},
        "ResourceConfig": {
            "InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **more,
    }  # fmt: skip


def serve(people):
    sagemaker = people.at(HIGH, "sagemaker")
    sagemaker.create_model(
        ModelName="same",
        ExecutionRoleArn=people.region.account(people.agency)["role_arn"],
        PrimaryContainer={
            "Image": IMAGE, "ModelDataUrl": "s3://same/out/same/output/model.tar.gz",
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
        },
    )  # fmt: skip
    sagemaker.create_endpoint_config(
        EndpointConfigName="same",
        ProductionVariants=[
            {
                "VariantName": "A", "ModelName": "same", "InitialInstanceCount": 1,
                "InstanceType": "ml.t2.medium",
            }
        ],
    )  # fmt: skip
    sagemaker.create_endpoint(EndpointName="same", EndpointConfigName="same")
    found = wait_for(
        lambda: sagemaker.describe_endpoint(EndpointName="same"), "EndpointStatus", SETTLED
    )
    assert found["EndpointStatus"] == "InService", found


def refusal(work, **asked):
    with pytest.raises(ClientError) as caught:
        work(**asked)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_what_a_job_makes_has_its_label(people):
    for label in (HIGH, LOW):
        s3 = people.at(label)
        made = s3.get_object(Bucket="same", Key="out/same/output/model.tar.gz")
        assert made["ResponseMetadata"]["HTTPHeaders"][HEADER] == label
    listed = people.at(LOW, "sagemaker").list_training_jobs()
    assert len(listed["TrainingJobSummaries"]) == 1
    assert "NextToken" not in listed


def test_the_lower_session_sees_no_trace(people):
    low, account = people.at(LOW, "sagemaker"), people.region.account(people.agency)["account_id"]
    assert low.list_models()["Models"] == []
    assert low.list_endpoint_configs()["EndpointConfigs"] == []
    assert low.list_endpoints()["Endpoints"] == []
    for work, key in (
        (low.describe_endpoint, "EndpointName"), (low.delete_endpoint, "EndpointName"),
        (low.describe_model, "ModelName"), (low.delete_model, "ModelName"),
        (low.describe_endpoint_config, "EndpointConfigName"),
    ):  # fmt: skip
        code, message = refusal(work, **{key: "same"})
        assert (code, message.replace("/same", "/none")) == refusal(work, **{key: "none"})
    arn = f"arn:aws-us-gov:sagemaker:us-gov-west-1:{account}:endpoint/"
    assert refusal(low.list_tags, ResourceArn=f"{arn}same") == refusal(
        low.list_tags, ResourceArn=f"{arn}none"
    )
    tags = low.list_tags(ResourceArn=f"{arn.replace('endpoint', 'training-job')}same")["Tags"]
    assert tags == [{"Key": "at", "Value": LOW}]
    runtime = people.at(LOW, "sagemaker-runtime")
    code, message = refusal(runtime.invoke_endpoint, EndpointName="same", Body=b"1")
    assert (code, message.replace("Endpoint same", "Endpoint none")) == refusal(
        runtime.invoke_endpoint, EndpointName="none", Body=b"1"
    )
    logs = people.at(LOW, "logs").describe_log_groups()["logGroups"]
    assert [each["logGroupName"] for each in logs] == ["/aws/sagemaker/TrainingJobs"]


def test_an_endpoint_answers_its_own_label_and_no_higher_one(people):
    asked = {"EndpointName": "same", "Body": b'"x"', "ContentType": "application/json"}
    answer = people.at(HIGH, "sagemaker-runtime").invoke_endpoint(**asked)
    assert json.loads(answer["Body"].read()) == [HIGH, "x"]
    higher = people.at("TS//SI", "sagemaker-runtime")
    assert refusal(higher.invoke_endpoint, **asked)[0] == "AccessDeniedException"
    refused = refusal(people.at("TS//SI", "sagemaker").delete_endpoint, EndpointName="same")
    assert refused[0] == "AccessDeniedException"


def test_a_role_that_is_not_cleared_is_refused_at_create(people):
    higher = people.at("TS//SI", "sagemaker")
    code, message = refusal(higher.create_training_job, **job(people))
    assert (code, "not cleared for TS//SI" in message) == ("ValidationException", True)


def test_operators_see_labels_and_what_was_made_of_what(people):
    account = people.region.account(people.agency)["account_id"]
    arn = f"arn:aws-us-gov:sagemaker:us-gov-west-1:{account}"
    words = ("label", "show", f"{arn}:endpoint/same", "--agency", people.agency)
    tree = people.region.cli(*words).stdout.splitlines()
    assert tree[0] == f"{arn}:endpoint/same  [{HIGH}]"
    artifact = "arn:aws-us-gov:s3:::same/out/same/output/model.tar.gz"
    told = [line.lstrip(" └├─│") for line in tree[1:]]
    assert told == [
        f"{arn}:endpoint-config/same  [{HIGH}]",
        f"{arn}:model/same  [{HIGH}]",
        f"{artifact}  [{HIGH}]",
        f"{arn}:training-job/same  [{HIGH}]",
        f"arn:aws-us-gov:s3:::same/in/  [{HIGH}]",
    ]
    assert json.loads(people.region.cli(*words, "--json").stdout)["labels"] == [HIGH]
    assert people.region.cli(*words, "--svg").stdout.startswith("<svg ")
    assert "digraph" in people.region.cli(*words, "--dot").stdout

"""An environment crosses the gate, and a job is trained in it where there is no network."""

import io
import tarfile

import pytest
from tests.gate_live import HIGH, LOW, ask, create, received, side

NOWHERE = "http://127.0.0.1:9"
IMAGE = "683313688378.dkr.ecr.us-isob-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
SCRIPT = """\
import pathlib
import numpy, sklearn, sagemaker_training
from sklearn.linear_model import LinearRegression

model = LinearRegression().fit(numpy.array([[0.0], [1.0], [2.0]]), [1.0, 3.0, 5.0])
pathlib.Path("/opt/ml/model/slope").write_text(f"{model.coef_[0]:.3f}")
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The high one has no environment, and no way to anywhere that has."""
    folder = tmp_path_factory.mktemp("environment")
    low = side(folder, LOW, "U")
    high_home = folder / HIGH / "regions" / HIGH
    (high_home / "environments").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.setenv(name, NOWHERE)
        patch.setenv("UV_CACHE_DIR", str(folder / "no-cache"))
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        patch.delenv("PIP_FIND_LINKS", raising=False)
        high = side(folder, HIGH, "S")
    high.trust(low)
    low.trust(high)
    yield low, high, folder / "spool"
    low.region.stop()
    high.region.stop()


def code():
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        info = tarfile.TarInfo("train.py")
        info.size = len(SCRIPT)
        tar.addfile(info, io.BytesIO(SCRIPT.encode()))
    return held.getvalue()


def trained(region):
    """What a job in the environment made, in the words of its output."""
    s3 = region.s3("school", "pupils")
    s3.put_object(Bucket="school", Key="code.tar.gz", Body=code())
    sagemaker = region.client("sagemaker", "pupils")
    role = region.client("iam", "pupils").create_role(
        RoleName="learner",
        AssumeRolePolicyDocument="""{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}""",
    )["Role"]["Arn"]
    region.client("iam", "pupils").put_role_policy(
        RoleName="learner", PolicyName="all",
        PolicyDocument="""{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"}]}""",
    )  # fmt: skip
    sagemaker.create_training_job(
        TrainingJobName="slope", RoleArn=role,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        HyperParameters={
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": '"s3://school/code.tar.gz"',
        },
        OutputDataConfig={"S3OutputPath": "s3://school/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )  # fmt: skip
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="slope", WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    job = sagemaker.describe_training_job(TrainingJobName="slope")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    packed = s3.get_object(Bucket="school", Key="out/slope/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return tar.extractfile("slope").read().decode()


def test_what_two_people_released_is_built_and_trained_in_without_a_network(two):
    low, high, spool = two[0].region, two[1].region, two[2]
    made = create(low, HIGH, environment="sklearn")
    assert {one["kind"] for one in made["contents"]} == {"environment"}
    assert made["source"] == "environment sklearn"
    two[0].send(made["bundle"], spool=str(spool))
    assert received(high, spool) == [("received", ""), ("filtered", "")]
    where = {"agency": "", "bucket": "", "prefix": ""}
    refusal = ask(high, f"/{made['bundle']}/release", **where)
    assert "asked for" in refusal
    rows = {row["name"]: row["built"] for row in high.control.get("/environments")}
    assert rows["sklearn"] is False
    (waiting,) = high.control.get("/approvals")
    action = high.control.get(f"/approvals/{waiting['id']}")["action"]
    assert "build the environment sklearn of 36 files" in str(action)
    two[1].approve(refusal, "ann", "bob")
    released = ask(high, f"/{made['bundle']}/release", **where)
    assert released["released_by"] == ["ann", "bob"]
    assert trained(high) == "2.000"

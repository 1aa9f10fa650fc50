"""Environments, built and imported, cross the gate; jobs are trained in them without a network."""

import io
import tarfile

import pytest
from tests.gate_live import HIGH, LOW, ask, create, received, request_of, side
from tests.images import file, image, layer, shell_entries

NOWHERE = "http://127.0.0.1:9"
IMAGE = "683313688378.dkr.ecr.us-isob-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
URI = "registry.example/gate/mine:1"
ENTRY = b"""
[ "$1" = train ] || exit 1
read text < /marker
echo "$text $GIVEN" > /opt/ml/model/slope
"""
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


@pytest.fixture(scope="module")
def role(two):
    """Of the agency that learns, above; its bucket holds the code."""
    region = two[1].region
    region.s3("school", "pupils").put_object(Bucket="school", Key="code.tar.gz", Body=code())
    iam = region.client("iam", "pupils")
    made = iam.create_role(
        RoleName="learner",
        AssumeRolePolicyDocument="""{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}""",
    )
    iam.put_role_policy(
        RoleName="learner", PolicyName="all",
        PolicyDocument="""{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"}]}""",
    )  # fmt: skip
    return made["Role"]["Arn"]


def trained(region, role, name, image, **parameters):
    """What a job in the environment made, in the words of its output."""
    sagemaker = region.client("sagemaker", "pupils")
    sagemaker.create_training_job(
        TrainingJobName=name, RoleArn=role,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
        HyperParameters=parameters,
        OutputDataConfig={"S3OutputPath": "s3://school/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )  # fmt: skip
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    job = sagemaker.describe_training_job(TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    s3 = region.client("s3", "pupils")
    packed = s3.get_object(Bucket="school", Key=f"out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return tar.extractfile("slope").read().decode()


WHERE = {"agency": "", "bucket": "", "prefix": ""}


def crossed(two, environment):
    """A bundle of it, filtered above; and what was asked for by its first release."""
    low, high, spool = two[0].region, two[1].region, two[2]
    made = create(low, HIGH, environment=environment)
    two[0].send(made["bundle"], spool=str(spool))
    assert received(high, spool) == [("received", ""), ("filtered", "")]
    refusal = ask(high, f"/{made['bundle']}/release", **WHERE)
    asked = high.control.get(f"/approvals/{request_of(refusal)}")
    return made, refusal, str(asked["action"])


def test_what_two_people_released_is_built_and_trained_in_without_a_network(two, role):
    high = two[1].region
    made, refusal, action = crossed(two, "sklearn")
    assert {one["kind"] for one in made["contents"]} == {"environment"}
    assert made["source"] == "environment sklearn"
    rows = {row["name"]: row["built"] for row in high.control.get("/environments")}
    assert rows["sklearn"] is False
    assert "build the environment sklearn of 36 files" in action
    two[1].approve(refusal, "ann", "bob")
    released = ask(high, f"/{made['bundle']}/release", **WHERE)
    assert released["released_by"] == ["ann", "bob"]
    program = {"sagemaker_program": '"train.py"'}
    program["sagemaker_submit_directory"] = '"s3://school/code.tar.gz"'
    assert trained(high, role, "slope", IMAGE, **program) == "2.000"


def test_an_image_that_two_people_released_is_trained_in(two, role, tmp_path):
    low, high = two[0].region, two[1].region
    entries = [*shell_entries(), file("entry", ENTRY), file("marker", b"of the image")]
    run = {"Entrypoint": ["/bin/sh", "/entry"], "Env": ["GIVEN=by the image"]}
    tarball = image(tmp_path / "mine.tar", layer(*entries), config=run)
    low.cli("env", "import-oci", str(tarball), "--name", URI)
    made, refusal, action = crossed(two, URI)
    (one,) = made["contents"]
    assert (one["kind"], one["name"]) == ("image", URI)
    assert made["source"] == f"image {URI}"
    assert f"register the container image {URI}" in action
    assert f"sha256:{one['sha256']}" in action
    assert one["provenance"]["digest"] in action
    again = create(low, HIGH, environment=URI)
    assert again["contents"] == made["contents"]  # the same image is the same bytes
    two[1].approve(refusal, "ann")
    assert "asked for" in ask(high, f"/{made['bundle']}/release", **WHERE)
    two[1].approve(refusal, "bob")
    released = ask(high, f"/{made['bundle']}/release", **WHERE)
    assert released["released_by"] == ["ann", "bob"]
    rows = {row["name"]: row for row in high.control.get("/environments")}
    assert rows[URI]["kind"] == "oci"
    assert f"sha256:{one['sha256']}".startswith(rows[URI]["digest"])
    assert trained(high, role, "image", URI) == "of the image by the image\n"

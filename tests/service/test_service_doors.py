"""What a region does only when its settings ask for it by name: plain HTTP, jobs without a wall."""

import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.live import NAME, LiveRegion
from tests.service.test_service_slice import IMAGE
from tests.waiting import wait_for

LAYERS = ["namespaces", "network", "uid", "seccomp", "cgroup-memory", "cgroup-pids", "cgroup-cpu"]


class WithoutBubblewrap(LiveRegion):
    """No program is on its path."""

    def environ(self):
        return {**super().environ(), "PATH": "/nowhere"}


@pytest.fixture
def bare(tmp_path):
    """Makes a region without bubblewrap that allows some layers to be missing."""
    if (Path(sys.executable).parent / "bwrap").exists():
        pytest.skip("bubblewrap came as a wheel: it is found without a path")
    made = []

    def make(*allowed):
        toml = f"[regions.{NAME}]\nport = 0\n[regions.{NAME}.jobs]\n"
        toml += f"allow_missing_layers = {list(allowed)}\n"
        made.append(WithoutBubblewrap(tmp_path, toml=toml).start())
        made[0].cli("env", "build", "sklearn")
        return made[0]

    yield make
    made[0].stop()


def train(site):
    sagemaker = site.client("sagemaker")
    sagemaker.create_training_job(
        TrainingJobName="j",
        RoleArn=site.account("demo")["role_arn"],
        AlgorithmSpecification={
            "TrainingImage": IMAGE, "TrainingInputMode": "File", "ContainerEntrypoint": ["true"],
        },
        OutputDataConfig={"S3OutputPath": "s3://none/out"},
        ResourceConfig={"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )  # fmt: skip
    return sagemaker


def test_jobs_are_refused_while_a_wall_is_missing(bare):
    site = bare("uid", "seccomp")
    assert "namespaces" in site.status["missing_layers"]
    assert "The sandbox of this machine lacks: namespaces (bubblewrap is not" in site.log()
    assert "namespaces" in site.cli("status").stdout
    with pytest.raises(ClientError) as refused:
        train(site)
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert "namespaces (bubblewrap is not installed)" in error["Message"]
    assert "allow_missing_layers" in error["Message"]
    assert "uid (" not in error["Message"], "that one was given up"
    assert site.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []


def test_without_namespaces_nothing_starts_whatever_is_allowed(bare):
    site = bare(*LAYERS)
    assert site.status["missing_layers"] == []
    sagemaker = train(site)
    ended = wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName="j"),
        "TrainingJobStatus",
        {"Completed", "Failed", "Stopped"},
    )
    assert (ended["TrainingJobStatus"], bool(ended["FailureReason"])) == ("Failed", True)


def test_plain_http_where_it_is_asked_for(tmp_path):
    toml = f"[regions.{NAME}]\nport = 0\nplain_http = true\n"
    site = LiveRegion(tmp_path, toml=toml).start()
    try:
        assert site.status["endpoint"].startswith("http://localhost:")
        assert "AWS_CA_BUNDLE" not in site.agency("demo")
        s3 = site.s3("plain")
        s3.put_object(Bucket="plain", Key="k", Body=b"content")
        assert s3.get_object(Bucket="plain", Key="k")["Body"].read() == b"content"
    finally:
        site.stop()


def test_plain_http_is_for_this_machine_alone(tmp_path):
    toml = f'[regions.{NAME}]\nport = 0\nplain_http = true\nhost = "0.0.0.0"\n'
    (tmp_path / "bastide.toml").write_text(toml)
    done = subprocess.run(
        [sys.executable, "-m", "bastide.app", "--region", NAME],
        env=LiveRegion(tmp_path).environ(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "plain_http is for a loopback host only." in done.stderr

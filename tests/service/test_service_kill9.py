"""kill -9 of the control plane at thirty random points, or a hundred, while objects are put and
jobs run."""

import contextlib
import hashlib
import io
import itertools
import json
import random
import tarfile
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError
from tests.service.test_service_slice import IMAGE
from tests.waiting import wait_for

KILLS = 30
SEED = 20261123
SIZES = (10, 5_000, 70_000, 400_000)
COMMAND = "echo ran; sleep 0.3; echo $TRAINING_JOB_NAME > /opt/ml/model/name"
ENDED = {"Completed", "Failed", "Stopped"}


class Load:
    """Puts objects and creates jobs until it is told to stop; knows what was answered 200, and the
    ids of those requests."""

    def __init__(self, region, role):
        self.region, self.role = region, role
        self.digests: dict[str, str] = {}
        self.jobs: list[str] = []
        self.answered: set[str] = set()
        self._count = 0
        self._seeds = itertools.count(SEED)  # a name asked for before a kill is never asked again

    def run_until(self, moment: float) -> None:
        """Work until the region dies; its death is what ends the threads."""
        alive = threading.Event()
        alive.set()
        threads = [
            threading.Thread(target=self._loop, args=(alive, step))
            for step in (self._put, self._put, self._create)
        ]
        for thread in threads:
            thread.start()
        while time.monotonic() < moment:
            time.sleep(0.001)  # the moment of the kill, not a wait for something
        assert all(thread.is_alive() for thread in threads), "a thread failed before the kill"
        self.region.kill()
        alive.clear()
        for thread in threads:
            thread.join()

    def _loop(self, alive, step) -> None:
        generator = random.Random(next(self._seeds))
        with (
            contextlib.closing(self.region.client("s3", read_timeout=20)) as s3,
            contextlib.closing(self.region.client("sagemaker", read_timeout=20)) as sagemaker,
            contextlib.suppress(BotoCoreError),  # the connection ended: `run_until` knows why
        ):
            while alive.is_set():
                step(s3, sagemaker, generator)

    def _put(self, s3, _sagemaker, generator) -> None:
        self._count += 1
        key = f"{self._count}-{generator.random()}"
        body = generator.randbytes(generator.choice(SIZES))
        answer = s3.put_object(Bucket="killed", Key=key, Body=body)
        self.digests[key] = hashlib.sha256(body).hexdigest()
        self.answered.add(answer["ResponseMetadata"]["RequestId"])

    def _create(self, _s3, sagemaker, generator) -> None:
        if len(self.jobs) >= KILLS:  # a hundred kills make no more of them
            return self._put(_s3, sagemaker, generator)
        name = f"job-{len(self.jobs)}-{generator.randrange(10**9)}"
        answer = sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=self.role,
            AlgorithmSpecification={
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["/bin/sh", "-c", COMMAND],
            },
            OutputDataConfig={"S3OutputPath": "s3://killed/out"},
            ResourceConfig={
                "InstanceType": "ml.t3.medium",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
        self.jobs.append(name)
        self.answered.add(answer["ResponseMetadata"]["RequestId"])
        return None


@pytest.mark.root
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # dead sockets
@pytest.mark.parametrize("kills", [KILLS, pytest.param(100, marks=pytest.mark.slow)])
def test_nothing_is_lost_and_nothing_runs_twice(own_region, kills):
    region = own_region
    region.cli("env", "build", "sklearn")
    role = region.account("demo")["role_arn"]
    region.s3("killed")
    load, moments = Load(region, role), random.Random(SEED)
    for _ in range(kills):
        load.run_until(time.monotonic() + moments.uniform(0.02, 0.6))
        region.start()
    check_objects(region, load.digests)
    check_jobs(region, load.jobs)
    assert "The log is whole." in region.cli("audit", "verify").stdout
    check_events(region, load.answered)


def check_objects(region, digests) -> None:
    s3 = region.client("s3")
    assert len(digests) > KILLS
    for key, digest in digests.items():
        body = s3.get_object(Bucket="killed", Key=key)["Body"].read()
        assert hashlib.sha256(body).hexdigest() == digest, key


def check_events(region, answered) -> None:
    """Every call that was answered is in the log."""
    found = region.cli("audit", "show", "--last", "1000000", "--json").stdout
    recorded = {record.get("request_id") for record in json.loads(found)}
    assert len(answered) > KILLS
    assert answered <= recorded


def check_jobs(region, names) -> None:
    s3, sagemaker = region.client("s3"), region.client("sagemaker")
    assert len(names) >= KILLS // 2
    for name in names:
        found = wait_for(
            lambda name=name: sagemaker.describe_training_job(TrainingJobName=name),
            "TrainingJobStatus",
            ENDED,
        )
        assert found["TrainingJobStatus"] == "Completed", (name, found.get("FailureReason"))
        key = found["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://killed/")
        body = s3.get_object(Bucket="killed", Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            assert archive.extractfile("name").read().decode().strip() == name
        starts = [
            step for step in found["SecondaryStatusTransitions"] if step["Status"] == "Training"
        ]
        assert len(starts) == 1, f"{name} was started {len(starts)} times"
        assert printed(region, name).count("ran") == 1


def printed(region, name) -> list[str]:
    pages = (
        region.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/")
    )
    return [event["message"] for event in pages.build_full_result()["events"]]

"""Train the linear models through a region's own SageMaker API: `python -m evals.training.linear
--data PATH`.

The texts go to S3, `fit.py` and the detectors' own features run there in script mode as a training
job, and of its model artifact the arrays are written beside the detectors. The region is the one of
the environment (`bastide client-env`, with AWS_ENDPOINT_URL), else one of its own.
"""

import argparse
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from tests.live import LiveRegion

from bastide.guardrails.detect import linear
from evals.training.texts import Example, examples
from evals.training.writing import write

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
BUCKET, JOB = "detectors", "detectors"
WAIT_S, POLLS_MAX = 2.0, 900
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
        }
    ],
}
S3_ALL = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


def lines_of(items: Sequence[Example]) -> bytes:
    return b"".join(
        json.dumps({"text": item.text, "wanted": dict(item.wanted)}).encode() + b"\n"
        for item in items
    )


def source() -> bytes:
    """The job's own program, and the features as the detectors compute them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        tar.add(Path(__file__).parent / "fit.py", "fit.py")
        tar.add(Path(linear.__file__), "bastide/guardrails/detect/linear.py")
    return made.getvalue()


def trained(client: Any, items: Sequence[Example]) -> tuple[np.ndarray, dict[str, Any]]:
    """The rows of weights and their names and biases, made by a training job."""
    s3, iam, sagemaker = client("s3"), client("iam"), client("sagemaker")
    place = {"LocationConstraint": s3.meta.region_name}
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    s3.put_object(Bucket=BUCKET, Key="texts/texts.jsonl", Body=lines_of(items))
    s3.put_object(Bucket=BUCKET, Key="source.tar.gz", Body=source())
    role = iam.create_role(RoleName="Detectors", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    iam.put_role_policy(RoleName="Detectors", PolicyName="s3", PolicyDocument=json.dumps(S3_ALL))
    sagemaker.create_training_job(
        TrainingJobName=JOB,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=role["Arn"],
        HyperParameters={
            "sagemaker_program": "fit.py",
            "sagemaker_submit_directory": f"s3://{BUCKET}/source.tar.gz",
        },
        InputDataConfig=[
            {
                "ChannelName": "training",
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/texts/"}
                },
            }
        ],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
    )
    key = _finished(sagemaker)["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/")
    return _opened(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def _finished(sagemaker: Any) -> dict[str, Any]:
    for _ in range(POLLS_MAX):
        job: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=JOB)
        if job["TrainingJobStatus"] == "Completed":
            return job
        if job["TrainingJobStatus"] in ("Failed", "Stopped"):
            raise SystemExit(f"The training job failed: {job.get('FailureReason')}")
        time.sleep(WAIT_S)
    raise SystemExit("The training job does not end.")


def _opened(artifact: bytes) -> tuple[np.ndarray, dict[str, Any]]:
    with tarfile.open(fileobj=io.BytesIO(artifact)) as tar:
        members = {
            Path(member.name).name: tar.extractfile(member) for member in tar if member.isfile()
        }
        rows = np.load(io.BytesIO(members["rows.npy"].read()), allow_pickle=False)
        return rows, json.loads(members["biases.json"].read())


def shipped_as(rows: np.ndarray, told: dict[str, Any]) -> None:
    """A byte for each weight, and a scale for each column: less than 300 KiB."""
    scales = np.abs(rows).max(axis=0) / 127
    told = {"names": told["names"], "biases": told["biases"], "scales": [float(s) for s in scales]}
    write({"linear": np.round(rows / scales).astype(np.int8)}, linear=told)


@contextmanager
def clients() -> Iterator[Any]:
    if os.environ.get("AWS_ENDPOINT_URL"):
        yield boto3.client
        return
    with tempfile.TemporaryDirectory() as home:
        live = LiveRegion(Path(home)).start()
        try:
            live.cli("env", "build", "sklearn")
            yield lambda service: live.client(service, "evals")
        finally:
            live.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=20260501)
    chosen = parser.parse_args()
    items = examples(chosen.data / "missions", chosen.seed)
    with clients() as client:
        shipped_as(*trained(client, items))


if __name__ == "__main__":
    main()

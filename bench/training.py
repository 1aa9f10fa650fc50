"""From CreateTrainingJob to the user's first line and to Completed; endpoints; a cold region.

The job is a no-op in script mode, in the sandbox, with the real sagemaker-training toolkit.
"""

import io
import json
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.live import NAME, LiveRegion
from tests.service.test_service_slice import IMAGE, tar

from bench.common import Report, arguments, median_ms

GROUP = "/aws/sagemaker/TrainingJobs"
NOOP = b"print('first line', flush=True)\n"
SERVE = b"""
import joblib, os
from sklearn.linear_model import LogisticRegression
def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""


def _until(check: Callable[[], Any], limit_s: float = 120.0) -> Any:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.02)
    raise RuntimeError(f"not there after {limit_s} s")


class Bench:
    def __init__(self, region: LiveRegion) -> None:
        self.region = region
        self.sagemaker = region.client("sagemaker", "bench")
        self.logs = region.client("logs", "bench")
        self.s3 = region.client("s3", "bench")
        self.role = region.account("bench")["role_arn"]
        self.s3.create_bucket(
            Bucket="bench", CreateBucketConfiguration={"LocationConstraint": NAME}
        )
        self.s3.put_object(Bucket="bench", Key="code.tar.gz", Body=tar({"train.py": NOOP}))

    def train(self, name: str) -> tuple[float, float]:
        """Seconds to the first line, and to Completed."""
        started = time.perf_counter()
        self.sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=self.role,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            HyperParameters={
                "sagemaker_program": json.dumps("train.py"),
                "sagemaker_submit_directory": json.dumps("s3://bench/code.tar.gz"),
            },
            OutputDataConfig={"S3OutputPath": "s3://bench/out"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 300},
        )
        _until(lambda: self._has_line(name))
        first = time.perf_counter() - started
        _until(lambda: self._completed(name))
        return first, time.perf_counter() - started

    def _has_line(self, name: str) -> bool:
        try:
            found = self.logs.filter_log_events(
                logGroupName=GROUP, logStreamNamePrefix=f"{name}/", filterPattern='"first line"'
            )
        except self.logs.exceptions.ResourceNotFoundException:
            return False
        return bool(found["events"])

    def _completed(self, name: str) -> bool:
        found = self.sagemaker.describe_training_job(TrainingJobName=name)
        assert found["TrainingJobStatus"] != "Failed", found.get("FailureReason")
        return bool(found["TrainingJobStatus"] == "Completed")

    def endpoint(self) -> float:
        """Seconds from CreateEndpoint to InService."""
        self.s3.put_object(Bucket="bench", Key="model.tar.gz", Body=_model())
        self.sagemaker.create_model(
            ModelName="m",
            ExecutionRoleArn=self.role,
            PrimaryContainer={
                "Image": IMAGE,
                "ModelDataUrl": "s3://bench/model.tar.gz",
                "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
            },
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": "m",
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        started = time.perf_counter()
        self.sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
        _until(self._in_service)
        return time.perf_counter() - started

    def _in_service(self) -> bool:
        found = self.sagemaker.describe_endpoint(EndpointName="e")
        assert found["EndpointStatus"] != "Failed", found.get("FailureReason")
        return bool(found["EndpointStatus"] == "InService")

    def is_gone(self) -> bool:
        try:
            self.sagemaker.describe_endpoint(EndpointName="e")
        except self.sagemaker.exceptions.ClientError:
            return True
        return False

    def invoke(self, n: int) -> tuple[list[float], list[float]]:
        """Seconds of each InvokeEndpoint, and of each direct call of the replica's socket, with a
        kept connection: in turn, so that a noisy moment meets both."""
        from bastide.cli.control import _SocketConnection

        runtime = self.region.client("sagemaker-runtime", "bench")
        socket = next((self.region.folder / "jobs").rglob("http.sock"))
        connection = _SocketConnection(socket, 60)
        body = b"0.5,0.5,0.5,0.5\n" * 2  # the toolkit reads a single row as one dimension
        call = {"EndpointName": "e", "ContentType": "text/csv", "Body": body}
        through, direct = [], []
        for _ in range(n):
            started = time.perf_counter()
            runtime.invoke_endpoint(**call)["Body"].read()
            through.append(time.perf_counter() - started)
            started = time.perf_counter()
            connection.request("POST", "/invocations", body, {"content-type": "text/csv"})
            connection.getresponse().read()
            direct.append(time.perf_counter() - started)
        connection.close()
        return through, direct


def _model() -> bytes:
    """A fitted logistic regression, made by the environment's own interpreter on this machine."""
    import subprocess

    from tests.live import cache_home

    python = next((cache_home() / "environments").rglob("bin/python"))
    code = (
        "import sys, joblib, numpy as np\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "x = np.random.default_rng(0).normal(size=(200, 4))\n"
        "joblib.dump(LogisticRegression().fit(x, x.sum(1) > 0), sys.argv[1])\n"
    )
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "model.joblib"
        subprocess.run([python, "-c", code, path], check=True)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            archive.add(path, "model.joblib")
            info = tarfile.TarInfo("code/inference.py")
            info.size = len(SERVE)
            archive.addfile(info, io.BytesIO(SERVE))
        return out.getvalue()


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--jobs", type=int, default=5)
    chosen = parser.parse_args()
    report = Report("bench.training")
    with tempfile.TemporaryDirectory() as home:
        region = LiveRegion(Path(home)).start()
        try:
            region.cli("env", "build", "sklearn")
            bench = Bench(region)
            bench.train("warm-up")
            times = [bench.train(f"job-{number}") for number in range(chosen.jobs)]
            first = statistics.median(one[0] for one in times)
            whole = statistics.median(one[1] for one in times)
            report.add("CreateTrainingJob to the first line", first, "s", target=2, n=chosen.jobs)
            report.add("CreateTrainingJob to Completed", whole, "s", target=4, n=chosen.jobs)
            report.add("CreateEndpoint to InService", bench.endpoint(), "s", target=6)
            bench.invoke(20)
            through, direct = bench.invoke(300)
            added = median_ms(through) - median_ms(direct)
            report.add("InvokeEndpoint p50", median_ms(through), "ms", n=300)
            report.add("direct call p50", median_ms(direct), "ms", n=300)
            report.add("InvokeEndpoint added p50", added, "ms", target=3, n=300)
            bench.sagemaker.delete_endpoint(EndpointName="e")  # replicas outlive their region
            _until(bench.is_gone)
        finally:
            region.stop()
    report.print(chosen.json)


if __name__ == "__main__":
    main()

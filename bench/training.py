"""From CreateTrainingJob to the user's first line and to Completed; endpoints; a cold region.

The job is a no-op in script mode, in the sandbox, with the real sagemaker-training toolkit.
"""

import io
import json
import re
import socket
import ssl
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.live import NAME, LiveRegion
from tests.service.test_service_slice import IMAGE, tar

from bench.common import Report, arguments, median_ms
from bench.load import signed

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

    def invoke(self, n: int) -> dict[str, list[float]]:
        """Seconds of InvokeEndpoint by boto3, of the same call as prepared bytes over a kept TLS
        connection, and of the replica's socket itself, in turn: a noisy moment meets all."""
        runtime = self.region.client("sagemaker-runtime", "bench")
        body = b"0.5,0.5,0.5,0.5\n" * 2  # the toolkit reads a single row as one dimension
        call = {"EndpointName": "e", "ContentType": "text/csv", "Body": body}
        env, at = self.region.agency("bench"), self.region.status["endpoint"]
        url = f"{at}/endpoints/e/invocations"
        headers = {"content-type": "text/csv"}
        prepared = signed("POST", url, body, service="sagemaker", env=env, **headers)
        plain = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\n"
        plain += b"content-length: %d\r\n\r\n" % len(body) + body
        place = next((self.region.folder / "jobs").rglob("http.sock"))
        with _over_tls(at, env["AWS_CA_BUNDLE"]) as secure, socket.socket(socket.AF_UNIX) as inner:
            inner.connect(str(place))
            steps: dict[str, Callable[[], object]] = {
                "boto3": lambda: runtime.invoke_endpoint(**call)["Body"].read(),
                "prepared": lambda: _exchange(secure, prepared),
                "direct": lambda: _exchange(inner, plain),
            }
            took: dict[str, list[float]] = {name: [] for name in steps}
            for _ in range(n):
                for name, step in steps.items():
                    started = time.perf_counter()
                    step()
                    took[name].append(time.perf_counter() - started)
        return took


def _over_tls(endpoint: str, ca: str) -> ssl.SSLSocket:
    parts = urlsplit(endpoint)
    assert parts.hostname
    plain = socket.create_connection((parts.hostname, parts.port))
    return ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname="localhost")


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    """One request and its whole answer, which must be a success."""
    connection.sendall(request)
    said = b""
    while b"\r\n\r\n" not in said:
        said += connection.recv(65536)
    head, _, rest = said.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0] + b" ", head
    length = int(re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)[1])  # type: ignore[index]
    while len(rest) < length:
        rest += connection.recv(65536)
    return rest


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
            took = {name: median_ms(each) for name, each in bench.invoke(300).items()}
            report.add("InvokeEndpoint p50, by boto3", took["boto3"], "ms", n=300)
            report.add(
                "InvokeEndpoint p50, without boto3's own work", took["prepared"], "ms", n=300
            )
            report.add("direct call p50", took["direct"], "ms", n=300)
            added = took["prepared"] - took["direct"]
            report.add("InvokeEndpoint added p50", added, "ms", target=3, n=300)
            bench.sagemaker.delete_endpoint(EndpointName="e")  # replicas outlive their region
            _until(bench.is_gone)
        finally:
            region.stop()
    report.print(chosen.json)


if __name__ == "__main__":
    main()

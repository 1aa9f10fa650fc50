"""How long a low session waits for what is hidden from it, beside what is not there.

The walls promise equal answers (tests/ni), not equal times; this says how far apart they are. Asked
in turns, so that a slow machine is slow for both. A wait that is planted says how small a one would
be found.
"""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from botocore.exceptions import ClientError
from tests.live import NAME
from tests.ni import models
from tests.ni.doings import training
from tests.ni.stage import Agency, Stage
from tests.walls_live import walled

from bench.common import Report, arguments

SAMPLES = 1_000
BAND = 0.05
PLANTED, PLANTED_S = "a planted millisecond", 0.001
WHERE = {"CreateBucketConfiguration": {"LocationConstraint": NAME}}


def prepared(stage: Stage) -> tuple[Agency, str]:
    """An agency whose things at S are hidden from its session at U, and the id of its key there."""
    agency = stage.agency()
    high, role = agency.high["S"], agency.role_arn
    agency.low["s3"].create_bucket(Bucket="open-box", **WHERE)
    high["s3"].put_object(Bucket="open-box", Key="hidden", Body=b"x")
    high["s3"].create_bucket(Bucket="hidden-box", **WHERE)
    high["logs"].create_log_group(logGroupName="/hidden")
    for service, operation, request in (*models.whole("hidden", role), training("hidden", role)):
        getattr(high[service], operation)(**request)
    return agency, high["kms"].create_key()["KeyMetadata"]["KeyId"]


def asks(agency: Agency, key_id: str) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """By name: the question about what is hidden, and that about what is not there."""
    low = agency.low

    def both(
        service: str, operation: str, member: str, names: Any = ("hidden", "absent"), **more: Any
    ) -> Any:
        asked = getattr(low[service], operation)
        return tuple(lambda name=name: asked(**{member: name}, **more) for name in names)

    return {
        "HeadObject": both("s3", "head_object", "Key", Bucket="open-box"),
        "HeadBucket": both("s3", "head_bucket", "Bucket", ("hidden-box", "absent-box")),
        "DescribeLogStreams": both(
            "logs", "describe_log_streams", "logGroupName", ("/hidden", "/absent")
        ),
        "DescribeKey": both("kms", "describe_key", "KeyId", (key_id, str(UUID(int=0)))),
        "DescribeTrainingJob": both("sagemaker", "describe_training_job", "TrainingJobName"),
        "DescribeModel": both("sagemaker", "describe_model", "ModelName"),
        "DescribeEndpoint": both("sagemaker", "describe_endpoint", "EndpointName"),
        "InvokeEndpoint": both("sagemaker-runtime", "invoke_endpoint", "EndpointName", Body=b"x"),
        PLANTED: (
            lambda: (time.sleep(PLANTED_S), low["s3"].head_bucket(Bucket="absent-box")),
            lambda: low["s3"].head_bucket(Bucket="absent-box"),
        ),
    }


def waited_ms(ask: Callable[[], Any]) -> float:
    started = time.perf_counter()
    with contextlib.suppress(ClientError):
        ask()
    return (time.perf_counter() - started) * 1000


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    chosen = parser.parse_args()
    report = Report("bench.hidden")
    with tempfile.TemporaryDirectory() as home:
        region = walled(Path(home))
        for name, both in asks(*prepared(Stage(region))).items():
            pairs = [tuple(waited_ms(ask) for ask in both) for _ in range(chosen.samples)]
            hidden, absent = (statistics.median(each) for each in zip(*pairs, strict=True))
            report.add(f"{name} of what is hidden", hidden, "ms", n=chosen.samples)
            report.add(f"{name} of what is not there", absent, "ms", n=chosen.samples)
            apart = abs(hidden - absent) / absent
            bound = {"target": BAND, "bound": ">=" if name == PLANTED else "<="}
            report.add(f"{name}: apart", apart, "of median", n=chosen.samples, **bound)
        region.stop()
    report.print(chosen.json)


if __name__ == "__main__":
    main()

"""How long a low session waits for what is hidden from it, beside what is not there.

The walls promise equal answers (tests/ni), not equal times; this says how far apart they are. Asked
in turns, so that a slow machine is slow for both.
"""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from tests.live import NAME
from tests.ni.stage import Agency, Stage
from tests.walls_live import walled

from bench.common import Report, arguments

SAMPLES = 1_000
BAND = 0.05
WHERE = {"CreateBucketConfiguration": {"LocationConstraint": NAME}}


def prepared(stage: Stage) -> Agency:
    """An agency with a bucket at U that holds a key at S, and a bucket and a log group at S."""
    agency = stage.agency()
    high = agency.high["S"]
    agency.low["s3"].create_bucket(Bucket="open-box", **WHERE)
    high["s3"].put_object(Bucket="open-box", Key="hidden", Body=b"x")
    high["s3"].create_bucket(Bucket="hidden-box", **WHERE)
    high["logs"].create_log_group(logGroupName="/hidden")
    return agency


def asks(agency: Agency) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """By name: the question about what is hidden, and that about what is not there."""
    s3, logs = agency.low["s3"], agency.low["logs"]
    return {
        "HeadObject": tuple(
            lambda key=key: s3.head_object(Bucket="open-box", Key=key)
            for key in ("hidden", "absent")
        ),
        "HeadBucket": tuple(
            lambda name=name: s3.head_bucket(Bucket=name) for name in ("hidden-box", "absent-box")
        ),
        "DescribeLogStreams": tuple(
            lambda name=name: logs.describe_log_streams(logGroupName=name)
            for name in ("/hidden", "/absent")
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
        for name, both in asks(prepared(Stage(region))).items():
            pairs = [tuple(waited_ms(ask) for ask in both) for _ in range(chosen.samples)]
            hidden, absent = (statistics.median(each) for each in zip(*pairs, strict=True))
            report.add(f"{name} of what is hidden", hidden, "ms", n=chosen.samples)
            report.add(f"{name} of what is not there", absent, "ms", n=chosen.samples)
            apart = abs(hidden - absent) / absent
            report.add(f"{name}: apart", apart, "of median", target=BAND, n=chosen.samples)
        region.stop()
    report.print(chosen.json)


if __name__ == "__main__":
    main()

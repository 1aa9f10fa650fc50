"""Put, get and list through boto3, beside moto's server and MiniStack.

Both peers keep objects in memory and check nothing; ours are sealed with AES-256-GCM and durable
before the answer. Same client, same machine, one run; each peer over plain HTTP, ours over TLS.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from tests.live import NAME, LiveRegion

from bench.common import Report, arguments, peer_python
from bench.gateway import process

SMALL, LARGE = 1024, 64 << 20
KEYS = 10_000
COMMANDS = {
    "moto": ("moto_server", "-H", "127.0.0.1", "-p", "{port}"),
    "ministack": ("ministack",),
}


@contextlib.contextmanager
def peer(name: str) -> Iterator[Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [word.format(port=port) for word in COMMANDS[name]]
    command[0] = str(peer_python(name).parent / command[0])
    env = {"PATH": os.environ["PATH"], "GATEWAY_PORT": port, "HOME": tempfile.gettempdir()}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with process(command, env=env, **quiet):
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 1}),
        )
        _wait(client)
        yield client


def _wait(client: Any) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):  # it is not listening yet
            client.create_bucket(Bucket="bench")
            return
        time.sleep(0.2)
    raise RuntimeError("the peer is not ready after 60 s")


@contextlib.contextmanager
def ours() -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as home:
        region = LiveRegion(Path(home)).start()
        try:
            client = region.client("s3", "bench", read_timeout=120)
            client.create_bucket(
                Bucket="bench", CreateBucketConfiguration={"LocationConstraint": NAME}
            )
            yield client
        finally:
            region.stop()


def _median_s(step: Callable[[], object], n: int) -> float:
    samples = []
    for _ in range(n):
        started = time.perf_counter()
        step()
        samples.append(time.perf_counter() - started)
    return statistics.median(samples)


def measure(client: Any, small_n: int, large_n: int, keys: int) -> dict[str, float]:
    """Median seconds of each step."""
    small, large = os.urandom(SMALL), os.urandom(LARGE)

    def get(key: str, size: int) -> None:
        assert len(client.get_object(Bucket="bench", Key=key)["Body"].read()) == size

    def list_all() -> None:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix="many/")
        assert sum(page["KeyCount"] for page in pages) == keys

    found = {
        "1 KiB put": _median_s(
            lambda: client.put_object(Bucket="bench", Key="s", Body=small), small_n
        ),
        "1 KiB get": _median_s(lambda: get("s", SMALL), small_n),
        "64 MiB put": _median_s(
            lambda: client.put_object(Bucket="bench", Key="l", Body=large), large_n
        ),
        "64 MiB get": _median_s(lambda: get("l", LARGE), large_n),
    }
    for number in range(keys):
        client.put_object(Bucket="bench", Key=f"many/{number:06d}", Body=b"x")
    found[f"list {keys} keys"] = _median_s(list_all, 3)
    return found


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--keys", type=int, default=KEYS)
    chosen = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    for name, running in (
        ("ours", ours()),
        ("moto", peer("moto")),
        ("ministack", peer("ministack")),
    ):
        with running as client:
            found[name] = measure(client, 300, 5, chosen.keys)
    report = Report("bench.s3")
    targets = {"1 KiB put": 1.0, "1 KiB get": 1.0, "64 MiB put": 3.0, "64 MiB get": 1.5}
    for step, mine in found["ours"].items():
        listing = step.startswith("list")
        goal: dict[str, Any] = {"target": 300.0} if listing else {}
        report.add(f"{step}, ours", mine * 1e3, "ms", **goal)
        for name in ("moto", "ministack"):
            report.add(f"{step}, {name}", found[name][step] * 1e3, "ms")
            ratio = found[name][step] / mine
            goal = (
                {"target": targets[step], "bound": ">="} if name == "moto" and not listing else {}
            )
            report.add(f"{step}, ours is faster than {name} by", ratio, "x", **goal)
    report.print(chosen.json)


if __name__ == "__main__":
    main()

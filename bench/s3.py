"""Put, get and list through boto3, beside moto's server and MiniStack.

Both peers keep objects in memory and check nothing; ours are sealed with AES-256-GCM and durable
before the answer. Same client, same machine, one run; each peer over plain HTTP, ours over TLS.
"Bare TLS" is what no server can beat: it throws puts away and sends zeros, through the same TLS.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from tests.live import NAME, LiveRegion

from bench.common import Report, arguments, peer_python
from bench.gateway import process

SMALL, LARGE = 1024, 64 << 20
KEYS = 10_000
SMALL_N, LARGE_N = 300, 5
TARGETS = {"1 KiB put": 1.0, "1 KiB get": 1.0, "64 MiB put": 3.0, "64 MiB get": 1.5}  # beside moto
LISTING_MS = 300.0
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
def ours() -> Iterator[tuple[Any, LiveRegion]]:
    with tempfile.TemporaryDirectory() as home:
        region = LiveRegion(Path(home)).start()
        try:
            client = region.client("s3", "bench", read_timeout=120)
            client.create_bucket(
                Bucket="bench", CreateBucketConfiguration={"LocationConstraint": NAME}
            )
            yield client, region
        finally:
            region.stop()


@contextlib.contextmanager
def bare(region: LiveRegion) -> Iterator[Any]:
    """A client of a server that only speaks TLS, with the region's own certificate."""
    pair = [str(region.folder / "tls" / name) for name in ("server.pem", "server.key")]
    command = [sys.executable, "-m", "bench.bare_tls", *pair]
    with process(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        port = running.stdout.readline().strip()
        keys = region.agency("bench")
        yield boto3.client(
            "s3",
            endpoint_url=f"https://localhost:{port}",
            verify=keys["AWS_CA_BUNDLE"],
            region_name=NAME,
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 1}),
        )


@dataclass(frozen=True)
class Timing:
    """Medians of a step: how long it took, and how much of that the client itself was at work."""

    seconds: float
    client_s: float


def timing(step: Callable[[], object], n: int) -> Timing:
    took, worked = [], []
    for _ in range(n):
        started, busy = time.perf_counter(), time.process_time()
        step()
        took.append(time.perf_counter() - started)
        worked.append(time.process_time() - busy)
    return Timing(statistics.median(took), statistics.median(worked))


def large_steps(client: Any, n: int) -> dict[str, Timing]:
    body = os.urandom(LARGE)

    def get() -> None:
        assert len(client.get_object(Bucket="bench", Key="l")["Body"].read()) == LARGE

    put = timing(lambda: client.put_object(Bucket="bench", Key="l", Body=body), n)
    return {"64 MiB put": put, "64 MiB get": timing(get, n)}


def small_steps(client: Any, n: int) -> dict[str, Timing]:
    body = os.urandom(SMALL)

    def get() -> None:
        assert client.get_object(Bucket="bench", Key="s")["Body"].read() == body

    put = timing(lambda: client.put_object(Bucket="bench", Key="s", Body=body), n)
    return {"1 KiB put": put, "1 KiB get": timing(get, n)}


def listing(client: Any, keys: int) -> dict[str, Timing]:
    def list_all() -> None:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix="many/")
        assert sum(page["KeyCount"] for page in pages) == keys

    for number in range(keys):
        client.put_object(Bucket="bench", Key=f"many/{number:06d}", Body=b"x")
    return {f"list {keys} keys": timing(list_all, 3)}


def measure(client: Any, keys: int) -> dict[str, Timing]:
    return {
        **small_steps(client, SMALL_N),
        **large_steps(client, LARGE_N),
        **listing(client, keys),
    }


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--keys", type=int, default=KEYS)
    chosen = parser.parse_args()
    found: dict[str, dict[str, Timing]] = {}
    with ours() as (client, region):
        found["ours"] = measure(client, chosen.keys)
        with bare(region) as bare_client:
            found["bare TLS"] = large_steps(bare_client, LARGE_N)
    for name in COMMANDS:
        with peer(name) as client:
            found[name] = measure(client, chosen.keys)
    report = Report("bench.s3")
    for step in found["ours"]:
        add_step(
            report, step, {name: steps[step] for name, steps in found.items() if step in steps}
        )
    report.print(chosen.json)


def add_step(report: Report, step: str, found: dict[str, Timing]) -> None:
    mine = found["ours"].seconds
    for name, timed in found.items():
        is_goal = name == "ours" and step.startswith("list")
        goal: dict[str, Any] = {"target": LISTING_MS} if is_goal else {}
        report.add(f"{step}, {name}", timed.seconds * 1e3, "ms", **goal)
        report.add(f"{step}, {name}: the client's own CPU", timed.client_s * 1e3, "ms")
    for name, timed in found.items():
        if name != "ours":
            is_goal = name == "moto" and step in TARGETS
            goal = {"target": TARGETS[step], "bound": ">="} if is_goal else {}
            report.add(f"{step}, ours is faster than {name} by", timed.seconds / mine, "x", **goal)


if __name__ == "__main__":
    main()

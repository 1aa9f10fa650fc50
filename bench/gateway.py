"""Requests per second and added latency of Converse, everything on, beside LiteLLM's proxy.

Everything on: TLS, SigV4, policy, validation, a durable audit record before each answer. The same
stub engine stands behind both; LiteLLM runs as its users run it, over plain HTTP with a master key.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httptools
from tests.live import NAME, LiveRegion

from bench.common import ROOT, Report, arguments, peer_python, quantile_ms
from bench.load import load, signed

CONNECTIONS = (1, 8, 32)
EMULATOR_PER_S = 800  # what a mere emulator that verifies nothing reaches
MODEL = "bench.stub-v1:0"
BODY = json.dumps(
    {
        "messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {"maxTokens": 16},
    }
).encode()
OPENAI_BODY = json.dumps(
    {"model": "stub", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16}
).encode()
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def process(command: list[str], **kept: Any) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(command, cwd=ROOT, text=True, **kept)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextlib.contextmanager
def stub(first_token_ms: float) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.stub_engine", "--first-token-ms", str(first_token_ms)]
    with process(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        yield running.stdout.readline().strip()


@contextlib.contextmanager
def ours(engine: str) -> Iterator[LiveRegion]:
    toml = f"""[regions.{NAME}]
port = 0
[regions.{NAME}.engines]
urls = {{ "{MODEL}" = {{ url = "{engine}", model = "stub" }} }}
"""
    with tempfile.TemporaryDirectory() as home:
        region = LiveRegion(Path(home), toml=toml).start()
        try:
            yield region
        finally:
            region.stop()


@contextlib.contextmanager
def litellm(engine: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        config = Path(home) / "config.yaml"
        config.write_text(
            json.dumps(
                {
                    "model_list": [
                        {
                            "model_name": "stub",
                            "litellm_params": {
                                "model": "openai/stub",
                                "api_base": engine,
                                "api_key": "none",
                            },
                        }
                    ],
                    "general_settings": {"master_key": "sk-bench"},
                }
            )
        )
        command = [
            str(peer_python("litellm").parent / "litellm"),
            "--config", str(config), "--port", str(port), "--host", "127.0.0.1",
        ]  # fmt: skip
        env = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
        }
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with process(command, env=env, **quiet) as running:
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            _wait_answers(url, running)
            yield url


def _wait_answers(url: str, running: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert running.poll() is None, "the peer did not start"
        with contextlib.suppress(Exception):  # it is not listening yet
            if load(url, _openai(url), connections=1, seconds=0.1)["bad"] == 0:
                return
        time.sleep(0.5)
    raise RuntimeError("the peer is not ready after 120 s")


def _openai(url: str) -> bytes:
    parts = httptools.parse_url(url.encode())
    host = f"{parts.host.decode()}:{parts.port}"
    head = (
        f"POST {parts.path.decode()} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer sk-bench\r\n"
        f"content-type: application/json\r\ncontent-length: {len(OPENAI_BODY)}\r\n\r\n"
    )
    return head.encode() + OPENAI_BODY


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def _our_request(region: LiveRegion) -> tuple[str, bytes, str]:
    env = region.agency("bench")
    url = f"{region.status['endpoint']}/model/{MODEL.replace(':', '%3A')}/converse"
    headers = {"content-type": "application/json"}
    return (
        url,
        signed("POST", url, BODY, service="bedrock", env=env, **headers),
        env["AWS_CA_BUNDLE"],
    )


def measure_ours(region: LiveRegion, seconds: float) -> dict[int, dict[str, Any]]:
    url, request, ca = _our_request(region)
    assert region.process is not None
    load(url, request, connections=2, seconds=1.0, ca=ca)
    found = {}
    for connections in CONNECTIONS:
        before = _cpu_s(region.process.pid)
        one = load(url, request, connections=connections, seconds=seconds, ca=ca)
        one["cpu_ms"] = (_cpu_s(region.process.pid) - before) * 1e3 / one["requests"]
        found[connections] = one
    return found


def measure_plain(url: str, seconds: float) -> dict[int, dict[str, Any]]:
    request = _openai(url)
    load(url, request, connections=2, seconds=1.0)
    return {
        connections: load(url, request, connections=connections, seconds=seconds)
        for connections in CONNECTIONS
    }


def fsync_ms() -> float:
    """The disk's own price of one durable write, in the folder where the region's state is."""
    samples = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            samples.append(time.perf_counter() - started)
    return quantile_ms(samples, 0.5)


def throughput(report: Report, seconds: float) -> None:
    with stub(0) as engine:
        with ours(engine) as region:
            mine = measure_ours(region, seconds)
        with litellm(engine) as url:
            peer = measure_plain(url, seconds)
    for connections in CONNECTIONS:
        one, other = mine[connections], peer[connections]
        assert one["bad"] == 0, f"{one['bad']} answers were errors"
        n = one["requests"]
        report.add(f"ours, {connections} connections", one["per_s"], "req/s", n=n)
        report.add(f"LiteLLM, {connections} connections", other["per_s"], "req/s")
        ratio = one["per_s"] / other["per_s"]
        report.add(f"ours / LiteLLM, {connections} connections", ratio, "x", target=10, bound=">=")
        report.add(f"server CPU, {connections} connections", one["cpu_ms"], "ms/req", target=1, n=n)
    best = max(one["per_s"] for one in mine.values())
    report.add("ours, the most of these", best, "req/s", target=EMULATOR_PER_S, bound=">=")


def added_latency(report: Report, seconds: float) -> None:
    with stub(20) as engine:
        direct = measure_plain(f"{engine}/chat/completions", seconds)
        with ours(engine) as region:
            mine = measure_ours(region, seconds)
        with litellm(engine) as url:
            peer = measure_plain(url, seconds)
    for connections in CONNECTIONS:
        for name, q, target in (("p50", 0.5, 3.0), ("p99", 0.99, 15.0)):
            floor = quantile_ms(direct[connections]["latencies_s"], q)
            value = quantile_ms(mine[connections]["latencies_s"], q) - floor
            goal = {"target": target} if connections == 8 else {}
            n = mine[connections]["requests"]
            report.add(f"added {name}, {connections} connections", value, "ms", n=n, **goal)
            other = quantile_ms(peer[connections]["latencies_s"], q) - floor
            report.add(f"LiteLLM's added {name}, {connections} connections", other, "ms")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    chosen = parser.parse_args()
    report = Report("bench.gateway")
    report.add("the disk's own fsync", fsync_ms(), "ms")
    throughput(report, chosen.seconds)
    added_latency(report, chosen.seconds)
    report.print(chosen.json)


if __name__ == "__main__":
    main()

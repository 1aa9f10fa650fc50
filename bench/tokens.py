"""Tokens per second through Converse over tokens per second of the bare engine, 1 and 8 streams."""

import http.client
import json
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.live import NAME, LiveRegion

from bastide.inference.engine_main import SOCKET
from bastide.inference.process import ENGINE
from bastide.inference.walls import ENVIRONMENT
from bench.common import Report, arguments

TOKENS = 96
PROMPT = "Tell a long story about a lighthouse keeper."
STREAMS = (1, 8)
KEY = "bench"


def _rate(one: Callable[[], int], streams: int) -> float:
    """Tokens per second of `streams` calls at once."""
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(one())) for _ in range(streams)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)


def through(client: Any, model: str) -> int:
    answer = client.converse_stream(
        modelId=model,
        messages=[{"role": "user", "content": [{"text": PROMPT}]}],
        inferenceConfig={"maxTokens": TOKENS, "temperature": 0.0},
    )
    return int(
        next(e["metadata"]["usage"]["outputTokens"] for e in answer["stream"] if "metadata" in e)
    )


class _Engine(http.client.HTTPConnection):
    """A connection to the bare engine's unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("engine")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def bare(path: Path) -> int:
    body = {
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": TOKENS,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    engine = _Engine(path)
    engine.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
    events = [line[6:] for line in engine.getresponse() if line.startswith(b"data: {")]
    engine.close()
    return int(json.loads(events[-1])["usage"]["completion_tokens"])


def start_engine(region: LiveRegion, place: Path) -> subprocess.Popen[str]:
    """The same engine process that a region starts, alone."""
    gguf = next((region.folder / "models").resolve().rglob("*.gguf"))
    task = {
        "model": str(gguf), "api_key": KEY, "threads": 1, "slots": 8, "context_tokens": 8192,
        "place": str(place), "memory_mib": 4096, "uid": None,
    }  # fmt: skip
    engine = subprocess.Popen(
        ENGINE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert engine.stdin is not None
    assert engine.stdout is not None
    engine.stdin.write(json.dumps(task) + "\n")
    engine.stdin.flush()
    engine.stdout.readline()
    return engine


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    toml = f"[regions.{NAME}]\nport = 0\n[regions.{NAME}.engines]\nslots = 8\n"
    report = Report("bench.tokens")
    with tempfile.TemporaryDirectory() as home:
        region = LiveRegion(Path(home), toml=toml).start()
        region.cli("models", "pull", "smollm2-135m")
        client = region.client("bedrock-runtime", "bench", read_timeout=600, max_pool_connections=8)
        model = region.client("bedrock", "bench").list_foundation_models()["modelSummaries"][0][
            "modelId"
        ]
        through(client, model)
        engine = start_engine(region, Path(home))
        socket_path = Path(home) / SOCKET
        bare(socket_path)
        for streams in STREAMS:
            pairs = [
                (
                    _rate(lambda: through(client, model), streams),
                    _rate(lambda: bare(socket_path), streams),
                )
                for _ in range(chosen.rounds)
            ]
            ratio = statistics.median(mine / floor for mine, floor in pairs)
            report.add(
                f"Converse, {streams} streams", statistics.median(p[0] for p in pairs), "tokens/s"
            )
            report.add(
                f"bare engine, {streams} streams",
                statistics.median(p[1] for p in pairs),
                "tokens/s",
            )
            n = chosen.rounds
            report.add(f"ratio, {streams} streams", ratio, "x", target=0.98, bound=">=", n=n)
        engine.terminate()
        region.stop()
    report.print(chosen.json)


if __name__ == "__main__":
    main()

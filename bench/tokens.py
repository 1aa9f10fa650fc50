"""Tokens per second through Converse over tokens per second of the bare engine, 1 and 8 streams.

All are measured in turn, each time another one first, and compared round by round: what the machine
does besides falls on all. Through Converse by prepared bytes over kept connections, as light for
their client as the bare engine's, and by boto3: on few cores its work is taken from the engine.
"""

import http.client
import json
import math
import os
import queue
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live import NAME, LiveRegion

from bastide.inference.engine_main import SOCKET
from bastide.inference.process import ENGINE
from bastide.inference.walls import ENVIRONMENT
from bastide.jobs import proctree
from bench.common import Report, arguments
from bench.prepared import Prepared

# Both by name: the shelf may hold others.
WEIGHTS, MODEL = "smollm2-135m", "bastide.smollm2-135m-instruct-v1:0"
PROMPT = "Tell a long story about a lighthouse keeper."
TOKENS = {1: 96, 8: 32}  # of each stream, by how many there are
ROUNDS = 15
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KEY = "bench"


def _rate(one: Callable[[int], int], streams: int) -> float:
    """Tokens per second of `streams` calls at once."""
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(one(TOKENS[streams]))) for _ in range(streams)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == streams, "a call failed"
    return sum(counts) / (time.perf_counter() - started)


def through(client: Any, model: str, tokens: int) -> int:
    answer = client.converse_stream(
        modelId=model,
        messages=[{"role": "user", "content": [{"text": PROMPT}]}],
        inferenceConfig={"maxTokens": tokens, "temperature": 0.0},
    )
    return int(
        next(e["metadata"]["usage"]["outputTokens"] for e in answer["stream"] if "metadata" in e)
    )


class Engine(http.client.HTTPConnection):
    """A connection to the bare engine's unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("engine")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def bare(path: Path, tokens: int) -> int:
    body = {
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": tokens,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    engine = Engine(path)
    engine.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
    events = [line[6:] for line in engine.getresponse() if line.startswith(b"data: {")]
    engine.close()
    return int(json.loads(events[-1])["usage"]["completion_tokens"])


def start_engine(region: LiveRegion, place: Path) -> subprocess.Popen[str]:
    """The same engine process that a region starts, alone."""
    gguf = (region.folder / "models").resolve() / WEIGHTS / "model.gguf"
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


def interval(values: list[float]) -> tuple[float, float]:
    """About 95 % for the median, by ranks: nothing is assumed of the noise."""
    ordered = sorted(values)
    cut = max(0, int(len(ordered) / 2 - 0.98 * math.sqrt(len(ordered))))
    return ordered[cut], ordered[-1 - cut]


class Lines:
    """Kept connections, one for each stream: whoever calls takes one that is free."""

    def __init__(self, region: LiveRegion, streams: int) -> None:
        self._free: queue.SimpleQueue[Prepared] = queue.SimpleQueue()
        for _ in range(streams):
            self._free.put(Prepared(region, MODEL))

    def through(self, tokens: int) -> int:
        line = self._free.get()
        heard = b"".join(line.pieces(line.call(PROMPT, tokens)))
        self._free.put(line)
        return int(heard.rpartition(b'"outputTokens":')[2].partition(b",")[0])

    def close(self) -> None:
        while not self._free.empty():
            self._free.get().close()


@dataclass(frozen=True)
class Ways:
    """Each answers how many of so many tokens came."""

    prepared: Callable[[int], int]
    boto3: Callable[[int], int]
    bare: Callable[[int], int]
    region_pid: int

    def compare(self, report: Report, streams: int, rounds: int) -> None:
        ways = {"prepared": self.prepared, "boto3": self.boto3, "bare": self.bare}
        for one in ways.values():  # loaded, and with every connection open
            _rate(one, streams)
        names, found = list(ways), []
        before = proctree.cpu_ticks(self.region_pid)
        for n in range(rounds):
            turn = names[n % len(names) :] + names[: n % len(names)]
            found.append({name: _rate(ways[name], streams) for name in turn})
        ticks = proctree.cpu_ticks(self.region_pid) - before
        for name in names:
            rate = statistics.median(one[name] for one in found)
            report.add(f"{name}, {streams} streams", rate, "tokens/s")
        for name in names[:-1]:
            ratios = [one[name] / one["bare"] for one in found]
            low, high = interval(ratios)
            report.add(
                f"ratio, {name}, {streams} streams", statistics.median(ratios), "x",
                target=0.98 if name == "prepared" else None, bound=">=", n=rounds,
                low=low, high=high,
            )  # fmt: skip
        tokens = 2 * rounds * streams * TOKENS[streams]  # by both of the ways through the region
        used_us = ticks * 1e6 / TICKS_PER_S / tokens
        report.add(f"CPU of the region for a token, {streams} streams", used_us, "µs", n=rounds)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    toml = f"[regions.{NAME}]\nport = 0\n[regions.{NAME}.engines]\nslots = 8\n"
    report = Report("bench.tokens")
    with tempfile.TemporaryDirectory() as home:
        region = LiveRegion(Path(home), toml=toml).start()
        region.cli("models", "pull", WEIGHTS)
        client = region.client("bedrock-runtime", "bench", read_timeout=600, max_pool_connections=8)
        engine = start_engine(region, Path(home))
        for streams in TOKENS:
            with closing(Lines(region, streams)) as lines:  # none of them waits for long
                ways = Ways(
                    region_pid=region.status["pid"],
                    prepared=lines.through,
                    boto3=lambda tokens: through(client, MODEL, tokens),
                    bare=lambda tokens: bare(Path(home) / SOCKET, tokens),
                )
                ways.compare(report, streams, chosen.rounds)
        engine.terminate()
        engine.wait()
        region.stop()
    report.print(chosen.json)


if __name__ == "__main__":
    main()

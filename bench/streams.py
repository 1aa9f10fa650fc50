"""Streams of Converse beside the bare engine's: the time to the first token, how soon an engine
stops when its client leaves, and how evenly 32 streams at once are served.

First tokens are measured in turn and compared round by round, each time of a prompt that no engine
has seen: through boto3, by the same call as prepared bytes over a kept TLS connection, and of the
bare engine. An engine has stopped when its process uses no more processor time.
"""

import itertools
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tests.live import NAME, LiveRegion

from bastide.inference.engine_main import SOCKET
from bastide.jobs import proctree
from bench.common import Report, arguments, quantile_ms
from bench.prepared import Prepared, asked_for
from bench.tokens import KEY, MODEL, TICKS_PER_S, WEIGHTS, Engine, interval, start_engine

ROUNDS = 120
WARM = 3  # rounds before the first that counts
FIRST_TOKENS = 2
LEAVES = 20
STREAMS = 32
STORY = "Tell a very long story about a lighthouse keeper, and do not end it."
LONG_TOKENS = 400
WINDOW_S = 10.0
POLL_S = 0.002
QUIET_S = 0.3  # without processor time for so long, an engine has stopped
STOP_LIMIT_S = 10.0


def asked(client: Any, text: str, tokens: int) -> Any:
    return client.converse_stream(modelId=MODEL, **asked_for(text, tokens))["stream"]


def boto3_first_token_s(client: Any, text: str) -> float:
    """From the call to the first piece of text."""
    started = time.perf_counter()
    took_s = 0.0
    for event in asked(client, text, FIRST_TOKENS):
        if not took_s and "contentBlockDelta" in event:
            took_s = time.perf_counter() - started
    assert took_s, "no text came"
    return took_s


def prepared_first_token_s(prepared: Prepared, text: str) -> float:
    call = prepared.call(text, FIRST_TOKENS)
    started = time.perf_counter()
    heard, took_s = b"", 0.0
    for piece in prepared.pieces(call):
        heard += piece
        if not took_s and b"contentBlockDelta" in heard:
            took_s = time.perf_counter() - started
    assert took_s, f"no text came: {heard[:200]!r}"
    return took_s


def bare_first_token_s(path: Path, text: str) -> float:
    body = {
        "messages": [{"role": "user", "content": text}],
        "max_tokens": FIRST_TOKENS, "temperature": 0.0, "stream": True,
    }  # fmt: skip
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    with closing(Engine(path)) as engine:
        engine.connect()
        started = time.perf_counter()
        engine.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
        took_s = 0.0
        for line in engine.getresponse():
            if not took_s and line.startswith(b"data: {") and _says(line):
                took_s = time.perf_counter() - started
    assert took_s, "no text came"
    return took_s


def _says(line: bytes) -> bool:
    choices = json.loads(line[6:])["choices"]
    return bool(choices and choices[0]["delta"].get("content"))


def first_tokens(report: Report, ways: dict[str, Callable[[str], float]], rounds: int) -> None:
    """Each round asks in another order: a noisy moment meets all. Nobody asks what another asked,
    as an engine remembers it."""
    names, took_ms = list(ways), []
    numbers = itertools.count(1000)
    for number in range(rounds + WARM):
        turn = names[number % len(names) :] + names[: number % len(names)]
        texts = {name: f"{next(numbers)} sailors asked: {STORY}" for name in turn}
        took_ms.append({name: ways[name](texts[name]) * 1e3 for name in turn})
    del took_ms[:WARM]
    bare = statistics.median(one["bare"] for one in took_ms)
    report.add("first token, bare", bare, "ms", n=rounds)
    for name in names[:-1]:
        added_ms = [one[name] - one["bare"] for one in took_ms]
        low, high = interval(added_ms)
        report.add(
            f"first token, added, {name}, p50", statistics.median(added_ms), "ms",
            target=5 if name == "prepared" else None, n=rounds, low=low, high=high,
        )  # fmt: skip


def stopped_after_s(pid: int, left: float) -> float:
    """From `left` until the last moment at which the engine was seen to have worked."""
    ticks, last = proctree.cpu_ticks(pid), left
    while (now := time.perf_counter()) < last + QUIET_S and now < left + STOP_LIMIT_S:
        if (found := proctree.cpu_ticks(pid)) != ticks:
            ticks, last = found, now
        time.sleep(POLL_S)
    return last - left


def leaving(report: Report, region: LiveRegion, client: Any, times: int) -> None:
    """A client that disconnects in the middle of a stream."""
    samples_s = []
    for _ in range(times):
        stream = asked(client, STORY, LONG_TOKENS)
        events = iter(stream)
        for _ in range(4):
            next(events)
        (row,) = region.control.get("/status")["engines"]
        left = time.perf_counter()
        stream.close()
        samples_s.append(stopped_after_s(row["pid"], left))
    report.add("engine stops after its client left, p50", quantile_ms(samples_s, 0.5), "ms",
               target=200, n=times)  # fmt: skip
    report.add("engine stops after its client left, the last", max(samples_s) * 1e3, "ms", n=times)
    report.add("what a tick of processor time lasts", 1e3 / TICKS_PER_S, "ms")


class Counted:
    """Streams at once, and how many pieces each has had."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.pieces = [0] * STREAMS
        self._begun = threading.Barrier(STREAMS + 1)
        self._over = threading.Event()

    def measure(self) -> list[int]:
        """Pieces of each between the moment when all have begun and the first of them ends."""
        threads = [threading.Thread(target=self._one, args=(n,)) for n in range(STREAMS)]
        for thread in threads:
            thread.start()
        self._begun.wait()
        before = list(self.pieces)
        self._over.wait(WINDOW_S)
        found = [now - then for now, then in zip(list(self.pieces), before, strict=True)]
        self._over.set()
        for thread in threads:
            thread.join()
        return found

    def _one(self, number: int) -> None:
        stream = asked(self._client, f"{number}. {STORY}", LONG_TOKENS)
        with suppress(BotoCoreError, ClientError):
            for event in stream:
                if "contentBlockDelta" not in event:
                    continue
                self.pieces[number] += 1
                if self.pieces[number] == 1:
                    self._begun.wait()
                if self._over.is_set():
                    break
        self._over.set()
        stream.close()


@contextmanager
def region_of(slots: int) -> Iterator[tuple[LiveRegion, Any]]:
    """A region with that many places in one engine, 512 tokens each, and a client."""
    engines = f"slots = {slots}\ncontext_tokens = {slots * 512}\n"
    toml = f"[regions.{NAME}]\nport = 0\n[regions.{NAME}.engines]\n{engines}"
    with tempfile.TemporaryDirectory() as home:
        region = LiveRegion(Path(home), toml=toml).start()
        try:
            region.cli("models", "pull", WEIGHTS)
            client = region.client(
                "bedrock-runtime", "bench", read_timeout=600, max_pool_connections=STREAMS
            )
            yield region, client
        finally:
            region.stop()


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    report = Report("bench.streams")
    with region_of(8) as (region, client):
        engine = start_engine(region, region.home)
        with closing(Prepared(region, MODEL)) as prepared:
            ways: dict[str, Callable[[str], float]] = {
                "prepared": partial(prepared_first_token_s, prepared),
                "boto3": partial(boto3_first_token_s, client),
                "bare": partial(bare_first_token_s, region.home / SOCKET),
            }
            first_tokens(report, ways, chosen.rounds)
        leaving(report, region, client, LEAVES)
        engine.terminate()
        engine.wait()
    with region_of(STREAMS) as (_, client):
        pieces = Counted(client).measure()
        report.add("pieces of a stream, the fewest of 32", min(pieces), "")
        report.add("32 streams at once, most / fewest", max(pieces) / max(1, min(pieces)), "x",
                   target=1.5, n=STREAMS)  # fmt: skip
    report.print(chosen.json)


if __name__ == "__main__":
    main()

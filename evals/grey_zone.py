"""Whether a model judges better than the score where a score is near the line: the same question as
a region's (`guardrails/grey_zone.py`, `inference/one_word.py`), of an engine with the same weights.

Only texts in the zone around 0.5 are asked about, each with its window cut as a guardrail's.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench.common import Report
from tests.live import cache_home

from bastide.guardrails.folding import seen
from bastide.guardrails.grey_zone import HALF, asked_of, fence_of
from bastide.inference.tools import NO, YES
from bastide.inference.turn import CHOICE_TOKENS_MAX, one_of
from bastide.inference.walls import ENVIRONMENT
from evals.report import add_rate, sampled

LINE = 0.5
SHOWN_MAX = 1_000
SECRET = b"evals"
_SERVER = """
import sys, threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 2048, 1, 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
threading.Event().wait()
"""


@dataclass(frozen=True, slots=True)
class Near:
    """A text, how it was scored for a filter, and whether it is what that looks for."""

    kind: str
    text: str
    score: float
    is_one: bool


@contextmanager
def engine(model: str) -> Iterator[str]:
    """The address of one that runs a model of the cache, by its name in the catalogue."""
    weights = cache_home() / "models" / model / "model.gguf"
    if not weights.is_file():
        raise SystemExit(f"No weights of {model} at {weights}.")
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(weights)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=ENVIRONMENT, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def says_yes(url: str, item: Near) -> bool:
    shown = seen(item.text).text[:SHOWN_MAX]
    system, question = asked_of(item.kind, shown, fence_of(SECRET, shown))
    body = {
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": question},
        ],
        "temperature": 0.0,
        "max_tokens": CHOICE_TOKENS_MAX,
        **one_of((NO, YES), local=True),
    }
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        found = json.load(answer)["choices"][0]["message"]["content"].strip()
    assert found in (YES, NO), found
    return bool(found == YES)


def add_judged(
    report: Report, model: str, items: Sequence[Near], *, most: int = 60, seed: int = 0
) -> None:
    """By kind, how many in the zone are told rightly by the score alone, and by the model."""
    with engine(model) as url:
        for kind in dict.fromkeys(item.kind for item in items):
            zone = [one for one in items if one.kind == kind and abs(one.score - LINE) < HALF]
            zone = sampled(zone, most, seed)
            said = [says_yes(url, one) for one in zone]
            for who, found in (
                ("score", [one.score >= LINE for one in zone]),
                (model, said),
            ):
                _tell(report, f"{kind} in the zone, {who}", zone, found)


def _tell(report: Report, name: str, zone: Sequence[Near], found: Sequence[bool]) -> None:
    pairs = list(zip(zone, found, strict=True))
    right = sum(one.is_one == is_found for one, is_found in pairs)
    add_rate(report, f"{name}: right", right, len(pairs))
    for wanted, word in ((True, "found"), (False, "taken for one")):
        of = [is_found for one, is_found in pairs if one.is_one is wanted]
        add_rate(report, f"{name}: {word}", sum(of), len(of), bound=">=" if wanted else "<=")

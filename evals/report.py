"""What every evaluation shares: its arguments, its sample, its intervals, and its table.

The table, the machine and `--json` are those of `bench/`. A figure stands with n and a 95 %
interval: Wilson's for a proportion, a seeded bootstrap for anything else.
"""

import argparse
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.common import Report, arguments

Z_95 = 1.959964
SEED = 20260501
RESAMPLES = 1000
T = TypeVar("T")


def options(description: str, *, model: str = "", judges: bool = False) -> argparse.ArgumentParser:
    """`--data`, `--limit`, `--seed`, `--json`, and `--model`: the one that answers (`model` unless
    told), one that `judges` what is near the line, or, where none has a part, nobody."""
    parser = arguments(description)
    parser.add_argument("--data", type=Path, required=True, help="the data: a file or a folder")
    parser.add_argument("--limit", type=int, default=0, help="no more than this many of each set")
    parser.add_argument("--seed", type=int, default=SEED, help="what the sample is drawn by")
    if model:
        parser.add_argument("--minutes", type=float, default=0, help="for each set, and no longer")
        parser.add_argument("--model", default=model, help="its id, or its name in the catalogue")
    elif judges:
        told = "a model of the cache that judges in the grey zone, by its name; may be given again"
        parser.add_argument(
            "--model", "--judge", dest="judge", action="append", default=[], help=told
        )
    else:
        parser.add_argument("--model", dest="unasked", help="taken by each; none is asked here")
    return parser


def begin(name: str, chosen: argparse.Namespace) -> Report:
    about: dict[str, Any] = {"data": chosen.data.name, "seed": chosen.seed}
    if chosen.limit:
        about["limit"] = chosen.limit
    if chosen.__dict__.get("minutes"):
        about["minutes"] = chosen.minutes
    if "model" in chosen:
        about["model"] = chosen.model
    elif getattr(chosen, "unasked", None):
        about["model"] = "none is asked"
    return Report(f"evals.{name}", about=about)


def sampled(items: Sequence[T], limit: int, seed: int) -> list[T]:
    """`limit` of them by `seed`, in their own order; 0: all."""
    if not 0 < limit < len(items):
        return list(items)
    chosen = sorted(random.Random(seed).sample(range(len(items)), limit))
    return [items[at] for at in chosen]


def in_time(items: Sequence[T], minutes: float, seed: int) -> Iterator[T]:
    """All of them; with `minutes`, in an order drawn by `seed` until those are over: what was not
    reached is left out by chance, not because it stands last in a file."""
    if not minutes:
        yield from items
        return
    end = time.monotonic() + 60 * minutes
    for item in random.Random(seed).sample(items, len(items)):
        if time.monotonic() >= end:
            return
        yield item


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion; it is right for small n and near 0 and 1, too."""
    if n == 0:
        return 0.0, 1.0
    share, square = hits / n, Z_95 * Z_95
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z_95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(
    items: Sequence[T], figure: Callable[[Sequence[T]], float], seed: int = SEED
) -> tuple[float, float]:
    """The 95 % interval of any figure of `items`, by drawing them anew."""
    if not items:
        return 0.0, 1.0
    draw = random.Random(seed)
    found = sorted(figure(draw.choices(items, k=len(items))) for _ in range(RESAMPLES))
    cut = int(len(found) * 0.025)
    return found[cut], found[-1 - cut]


def add_rate(report: Report, name: str, hits: int, n: int, **rest: Any) -> None:
    """A proportion; `target=`, `bound=` (">=" unless told) as of every figure."""
    low, high = wilson(hits, n)
    rest = {"bound": ">=", **rest}
    report.add(name, hits / n if n else 0.0, "", n=n, low=low, high=high, **rest)


def add_estimate(
    report: Report,
    name: str,
    items: Sequence[T],
    figure: Callable[[Sequence[T]], float],
    **rest: Any,
) -> None:
    """Any other figure of `items`, such as an AUC or a precision."""
    low, high = bootstrap(items, figure)
    rest = {"bound": ">=", **rest}
    report.add(name, figure(items), "", n=len(items), low=low, high=high, **rest)

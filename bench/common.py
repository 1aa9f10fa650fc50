"""What every benchmark prints: machine, commit, a table with targets, and one line of JSON."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bastide.cli import venvs

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".cache" / "peers"


@dataclass
class Figure:
    """One measured figure. `bound` is "<=" or ">="; without a `target` it is only said. Where it
    was estimated from `n` samples, `low` and `high` are its 95 % interval."""

    name: str
    value: float
    unit: str
    target: float | None = None
    bound: str = "<="
    n: int = 1
    low: float | None = None
    high: float | None = None

    @property
    def missed(self) -> bool:
        if self.target is None:
            return False
        return self.value > self.target if self.bound == "<=" else self.value < self.target


@dataclass
class Report:
    """The figures of one benchmark, and what else it says `about` itself."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str, **rest: Any) -> None:
        self.figures.append(Figure(name, value, unit, **rest))

    def print(self, as_json: bool) -> None:
        print(f"\n{self.name} — {machine()}")
        if self.about:
            print("  " + ", ".join(f"{name} {value}" for name, value in self.about.items()))
        for figure in self.figures:
            goal = "" if figure.target is None else f"target {figure.bound} {figure.target:g}"
            verdict = "" if figure.target is None else ("MISSED" if figure.missed else "met")
            value = f"{figure.value:,.3f}".rstrip("0").rstrip(".")
            sure = (
                "" if figure.low is None else f"[{figure.low:.3f}, {figure.high:.3f}] n={figure.n}"
            )
            line = (
                f"  {figure.name:<52} {value:>12} {figure.unit:<10} {goal:<18} {verdict:<6} {sure}"
            )
            print(line.rstrip())
        if as_json:
            print(json.dumps(self.as_dict()))

    def as_dict(self) -> dict[str, Any]:
        return {
            "benchmark": self.name,
            **facts(),
            **self.about,
            "figures": [asdict(figure) for figure in self.figures],
            "missed": [figure.name for figure in self.figures if figure.missed],
        }


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return parser


def median_ms(samples_s: Sequence[float]) -> float:
    return statistics.median(samples_s) * 1e3


def quantile_ms(samples_s: Sequence[float], q: float) -> float:
    ordered = sorted(samples_s)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1e3


def facts() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "commit": commit,
        "load": round(os.getloadavg()[0], 2),
    }


def machine() -> str:
    known = facts()
    return (
        f"{known['cores']} cores, {known['machine']}, Python {known['python']}, "
        f"commit {known['commit']}, load {known['load']}"
    )


def peer_python(name: str) -> Path:
    """The interpreter of a peer's own venv, made from bench/peers/NAME.txt."""
    lock = ROOT / "bench" / "peers" / f"{name}.txt"
    return venvs.python_of(PEERS / name, lock, partial(_telling, name))


@contextmanager
def _telling(name: str) -> Iterator[None]:
    print(f"installing {name} into a venv of its own …", file=sys.stderr, flush=True)
    yield

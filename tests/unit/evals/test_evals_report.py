"""The intervals that stand beside the figures of evaluations, against known ones."""

import json
from argparse import Namespace
from pathlib import Path

import pytest
from evals.report import add_estimate, add_rate, begin, bootstrap, options, sampled, wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),
    ],
)
def test_wilson(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=6e-5)


def test_a_bootstrap_is_repeatable_and_holds_the_figure():
    items = [0.0] * 40 + [1.0] * 60

    def mean(found):
        return sum(found) / len(found)

    low, high = bootstrap(items, mean, seed=3)
    assert (low, high) == bootstrap(items, mean, seed=3)
    assert low == pytest.approx(0.5, abs=0.03)
    assert high == pytest.approx(0.7, abs=0.03)


def test_a_sample_is_by_its_seed_and_in_order():
    assert sampled(range(5), 0, 1) == sampled(range(5), 9, 1) == [0, 1, 2, 3, 4]
    some = sampled(range(1000), 20, 1)
    assert some == sorted(some)
    assert len(set(some)) == 20
    assert some == sampled(range(1000), 20, 1)
    assert some != sampled(range(1000), 20, 2)


def test_what_is_printed(capsys):
    words = ["--data", "some/file.json", "--limit", "7", "--json"]
    chosen = options("x", model="tiny").parse_args(words)
    report = begin("x", chosen)
    add_rate(report, "hits", 8, 10, target=0.9)
    add_estimate(report, "mean", [1.0, 1.0], lambda found: sum(found) / len(found))
    report.print(chosen.json)
    table, line = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert "MISSED [0.490, 0.943] n=10" in table
    found = json.loads(line)
    assert (found["benchmark"], found["model"], found["limit"]) == ("evals.x", "tiny", 7)
    assert found["missed"] == ["hits"]
    assert found["figures"][1]["low"] == 1.0


def test_an_evaluation_without_a_model_names_none():
    chosen = Namespace(data=Path("x"), seed=1, limit=0)
    assert begin("x", chosen).about == {"data": "x", "seed": 1}

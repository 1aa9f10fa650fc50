"""How well hate, insults and misconduct are told from what is none: `python -m evals.content --data
PATH [--model MODEL]`.

PATH is the data folder: t-davidson's tweets (hate against the rest, hate or insult against neither)
and HarmBench's prompts (against BFCL's, PubMedQA's and TRAM's texts). Each text is asked of weights
that were made without it. Sex and violence have no labelled data that may be shipped: of the
harmless texts the share is told that is taken for it. Or PATH is a file of t-davidson's format,
which the shipped weights are asked about.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.common import Report

from bastide.guardrails.detect.content import LEARNED, content_scores
from evals.grey_zone import Near, add_judged
from evals.grounding import area
from evals.report import add_estimate, add_rate, begin, options, sampled
from evals.training import texts
from evals.training.anew import without_each
from evals.training.texts import Example

SEEN = 0.5
UNLEARNED = ("SEXUAL", "VIOLENCE")


def f1(items: Sequence[Near]) -> float:
    hits = sum(item.is_one and item.score >= SEEN for item in items)
    said = sum(item.score >= SEEN for item in items) + sum(item.is_one for item in items)
    return 2 * hits / said if said else 0.0


def auc(items: Sequence[Near]) -> float:
    right = [item.score for item in items if item.is_one]
    return area(right, [item.score for item in items if not item.is_one])


def asked(missions: Path, limit: int, seed: int) -> dict[str, list[Example]]:
    """For each name the texts that it is measured on; our own made-up ones are none of them."""
    tweets = sampled(list(texts.tweets(missions, seed)), limit, seed)
    harms = [item for item in texts.harms(missions) if item.group.startswith("harm ")]
    plain = [*texts.questions(missions), *texts.tram(missions)]
    others = [Example(text, {"MISCONDUCT": 0}, texts.group_of(text)) for text in plain]
    return {
        "HATE": tweets,
        "INSULTS": tweets,
        "MISCONDUCT": [*sampled(harms, limit, seed), *sampled(others, limit, seed)],
    }


def scored(missions: Path, limit: int, folds: int, seed: int) -> dict[str, list[Near]]:
    found: dict[str, list[Near]] = {name: [] for name in LEARNED}
    wanted = asked(missions, limit, seed)
    for fold in without_each(texts.examples(missions, seed), LEARNED, folds):
        for name, items in wanted.items():
            for item in items:
                if fold.holds_out(item.group):
                    score = content_scores(item.text, fold.model)[name]
                    is_one = bool(item.wanted[name])
                    found[name].append(Near(name, item.text, score, is_one))
    return found


def shipped(path: Path, limit: int, seed: int) -> dict[str, list[Near]]:
    """Of a file of tweets, all of them."""
    items = sampled(texts.tweets_of(path), limit, seed)
    return {
        name: [
            Near(name, text, content_scores(text)[name], is_one=kind in kinds)
            for text, kind in items
        ]
        for name, kinds in (("HATE", (0,)), ("INSULTS", (0, 1)))
    }


def told(report: Report, found: dict[str, list[Near]]) -> None:
    for name, items in found.items():
        add_estimate(report, f"{name} AUC", items, auc)
        add_estimate(report, f"{name} F1 at {SEEN}", items, f1)


def told_harmless(report: Report, missions: Path, limit: int, seed: int) -> None:
    items = sampled([*texts.questions(missions), *texts.tram(missions)], limit, seed)
    scores = [content_scores(text) for text in items]
    for name in UNLEARNED:
        false = sum(score[name] >= SEEN for score in scores)
        add_rate(report, f"harmless taken for {name}", false, len(scores), bound="<=")


def main() -> None:
    parser = options(__doc__.splitlines()[0], judges=True)
    parser.add_argument("--folds", type=int, default=5)
    chosen = parser.parse_args()
    report = begin("content", chosen)
    if chosen.data.is_file():
        report.about["weights"] = "as shipped"
        found = shipped(chosen.data, chosen.limit, chosen.seed)
    else:
        missions = chosen.data / "missions"
        found = scored(missions, chosen.limit, chosen.folds, chosen.seed)
    told(report, found)
    for model in chosen.judge:
        near = [one for items in found.values() for one in items]
        add_judged(report, model, near, seed=chosen.seed)
    if chosen.data.is_dir():
        told_harmless(report, missions, chosen.limit, chosen.seed)
    report.print(chosen.json)


if __name__ == "__main__":
    main()

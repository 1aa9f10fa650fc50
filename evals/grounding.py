"""Whether an answer is told from one that its source does not say: `python -m evals.grounding
--data PATH`.

PATH is a file of PubMedQA's format, or the data folder. Each LONG_ANSWER is held against the
CONTEXTS that it was written for, and against those of another question. Nothing was learned from
these texts.
"""

import json
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bastide.guardrails.detect.grounding import grounding
from evals.report import add_estimate, begin, options, sampled

FILE = Path("missions/medical/pubmedqa/ori_pqal.json")
AUC_MIN = 0.90


@dataclass(frozen=True, slots=True)
class Pair:
    """The same answer's score with its own source or question, and with another's."""

    own: float
    other: float


def auc(pairs: Sequence[Pair]) -> float:
    """How often a right one scores above a wrong one, of all pairs; a tie is a half."""
    return area([pair.own for pair in pairs], [pair.other for pair in pairs])


def area(right: Sequence[float], wrong: Sequence[float]) -> float:
    below = sorted(wrong)
    won = sum((bisect_left(below, one) + bisect_right(below, one)) / 2 for one in right)
    return won / (len(right) * len(wrong)) if right and wrong else 0.0


def main() -> None:
    chosen = options(__doc__.splitlines()[0]).parse_args()
    path = chosen.data / FILE if chosen.data.is_dir() else chosen.data
    items = sampled(list(json.loads(path.read_text("utf-8")).values()), chosen.limit, chosen.seed)
    others = items[1:] + items[:1]
    random.Random(chosen.seed).shuffle(others)
    grounded, relevant = [], []
    for item, other in zip(items, others, strict=True):
        if item is other:
            continue
        answer, question = item["LONG_ANSWER"], item["QUESTION"]
        own = grounding(" ".join(item["CONTEXTS"]), question, answer)
        swapped = grounding(" ".join(other["CONTEXTS"]), other["QUESTION"], answer)
        grounded.append(Pair(own[0], swapped[0]))
        relevant.append(Pair(own[1], swapped[1]))
    report = begin("grounding", chosen)
    add_estimate(report, "AUC of grounding, own v. another's", grounded, auc, target=AUC_MIN)
    add_estimate(report, "AUC of relevance, own v. another's", relevant, auc)
    report.print(chosen.json)


if __name__ == "__main__":
    main()

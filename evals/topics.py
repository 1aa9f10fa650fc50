"""Whether a denied topic is seen in what is said of it: `python -m evals.topics --data FILE`.

FILE: `evals/topics.toml`, or another of that form.

By words alone, as where no model embeds, and by words and meaning, as guardrails do. The threshold
was chosen on the file's half "a", so that the figures that count are those of "b": what is said of
a topic, what is said of something beside it, and what is said of the other topics.
"""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench.common import Report
from tests.policy_kit import principal

from bastide.guardrails.detect.topics import topic_score
from bastide.guardrails.judging import ABOUT
from bastide.guardrails.meaning import Meaning
from evals.region import region_for
from evals.report import add_rate, begin, options
from evals.retrieval import vectors_of

MODEL = "minilm-l6-v2"
Score = Callable[["Said", str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A topic, and texts of it and beside it."""

    name: str
    definition: str
    examples: tuple[str, ...]
    about: tuple[str, ...]
    near: tuple[str, ...]
    half: str


@dataclass(frozen=True, slots=True)
class Invoked:
    """Implements guardrails' Embeds over InvokeModel."""

    client: Any
    model_id: str

    def vectors(self, who: Any, texts: Sequence[str]) -> np.ndarray:
        return vectors_of(self.client, self.model_id, texts, "search_document")


def read(path: Path) -> list[Said]:
    rows = tomllib.loads(path.read_text("utf-8"))["topics"]
    return [
        Said(**{k: v if isinstance(v, str) else tuple(v) for k, v in row.items()}) for row in rows
    ]


def by_words(topic: Said, text: str) -> float:
    return topic_score(topic.name, topic.definition, topic.examples, text)


def told(report: Report, topics: Sequence[Said], score: Score, how: str) -> None:
    for half in sorted({topic.half for topic in topics}):
        own = [topic for topic in topics if topic.half == half]
        sets = {
            "said of it": [(t, text) for t in own for text in t.about],
            "said beside it": [(t, text) for t in own for text in t.near],
            "said of others": [
                (t, text)
                for t in own
                for other in topics
                if other is not t
                for text in (*other.about, *other.near)
            ],
        }
        for name, pairs in sets.items():
            hits = sum(score(topic, text) >= ABOUT for topic, text in pairs)
            add_rate(report, f"{how}, half {half}, {name}: seen", hits, len(pairs))


def main() -> None:
    chosen = options(__doc__.splitlines()[0], model=MODEL).parse_args()
    topics, report, who = read(chosen.data), begin("topics", chosen), principal()
    told(report, topics, by_words, "words")
    with region_for(chosen.model) as asked:
        meaning = Meaning(Invoked(asked.client("bedrock-runtime"), asked.model_id))

        def by_both(topic: Said, text: str) -> float:
            return max(by_words(topic, text), meaning.score(who, topic, text) or 0.0)

        told(report, topics, by_both, "words and meaning")
    report.print(chosen.json)


if __name__ == "__main__":
    main()

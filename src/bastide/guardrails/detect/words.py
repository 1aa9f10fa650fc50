"""The words of a text that say something, by their stems, and how much each says."""

import math
import re

from bastide.guardrails.detect import gazetteers
from bastide.kernel.small_words import OF_SPEECH

_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_ENDINGS = (
    "ations",
    "ation",
    "ingly",
    "ment",
    "ness",
    "ities",
    "ity",
    "ing",
    "ies",
    "ed",
    "es",
    "ly",
    "s",
)
_STEM_MIN = 4


def share(terms: frozenset[str], said: frozenset[str]) -> float:
    """Of these terms the share, by weight, that is said."""
    return sum(map(_weight, terms & said)) / sum(map(_weight, terms)) if terms else 0.0


def _weight(term: str) -> float:
    """Long words, numbers and words that prose seldom has say most."""
    if term[0].isdigit():
        return 2.0
    return math.log2(1 + len(term)) * (1.0 if gazetteers.is_ordinary(term) else 1.5)


def terms_of(text: str) -> frozenset[str]:
    return frozenset(map(_stem, _WORD.findall(text.lower()))) - OF_SPEECH


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_MIN:
            return word[: -len(ending)]
    return word

"""The words of a text that say something, by their stems, and how much each says."""

import math
import re

from bastide.guardrails.detect import gazetteers

_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_SMALL_WORDS = (
    "a an the of in on at to for from by with and or but not no is are was were be been "
    "being it its this that these those as than then there their they them he she his "
    "her we our you your i my me who which what when where how why do does did has have "
    "had can could may might will would should shall must also such more most other some "
    "any all both each between into over under after before during about if so"
)
_SMALL = frozenset(_SMALL_WORDS.split())
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
    return frozenset(map(_stem, _WORD.findall(text.lower()))) - _SMALL


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_MIN:
            return word[: -len(ending)]
    return word

"""How far a source says what an answer says, and how far the answer speaks of what was asked: each
from 0 to 1.

By words: those that are rare in speech weigh most. A number or a name of the answer that the source
has not counts against it. The least supported sentence pulls the score down, so that one invention
among true sentences is seen.
"""

import re
from collections.abc import Sequence

from bastide.guardrails.detect.words import share, terms_of

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]?")
_WORST_SHARE = 0.3  # of the score, what the least supported sentence decides
_STRANGE = 0.5  # of a sentence's support, what is left where all its numbers are strange


def grounding(source: str, query: str, answer: str) -> tuple[float, float]:
    """How far the source says it, and how far it answers the query. Nothing said is nothing
    unsaid."""
    said = terms_of(source)
    sentences = [found for found in map(terms_of, _SENTENCE.findall(answer)) if found]
    if not sentences:
        return 1.0, 1.0
    supports = [(_support(terms, said), len(terms)) for terms in sentences]
    mean = sum(value * size for value, size in supports) / sum(size for _, size in supports)
    worst = min(value for value, _ in supports)
    return (1 - _WORST_SHARE) * mean + _WORST_SHARE * worst, _relevance(query, sentences)


def _relevance(query: str, sentences: Sequence[frozenset[str]]) -> float:
    asked = terms_of(query)
    if not asked:
        return 1.0
    return share(asked, frozenset[str]().union(*sentences))


def _support(terms: frozenset[str], said: frozenset[str]) -> float:
    numbers = {term for term in terms if term[0].isdigit()}
    strange = len(numbers - said) / len(numbers) if numbers else 0.0
    return share(terms, said) * (1 - (1 - _STRANGE) * strange)

"""How much a text is about a topic that a guardrail denies, by the words of its definition and
its examples: from 0 to 1. What is meant without these words is not seen."""

from collections.abc import Sequence

from bastide.guardrails.detect.words import share, terms_of

DEFINITION_SHARE = 0.9  # words of a definition are seldom all said by who asks
EXAMPLE_TERMS_MIN = 2


def topic_score(name: str, definition: str, examples: Sequence[str], text: str) -> float:
    said = terms_of(text)
    if not said:
        return 0.0
    about = terms_of(name) | terms_of(definition)
    by_definition = DEFINITION_SHARE * share(said, about)
    by_example = max((_alike(terms_of(example), said) for example in examples), default=0.0)
    return max(by_definition, by_example)


def _alike(example: frozenset[str], said: frozenset[str]) -> float:
    """The lesser of how much each has of the other: a long text about much is about little."""
    if len(example & said) < min(EXAMPLE_TERMS_MIN, len(example)):
        return 0.0
    return min(share(example, said), share(said, example))

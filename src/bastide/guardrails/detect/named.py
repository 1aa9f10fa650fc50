"""Names, addresses and ages in running text: the tagger, and where it sees nothing, the words
that we know."""

from collections.abc import Collection, Iterator, Sequence

from bastide.guardrails.detect import gazetteers
from bastide.guardrails.detect.finding import Finding
from bastide.guardrails.detect.tagger import Tables, tag
from bastide.guardrails.detect.tokens import Token, tokens_of

KINDS = {"NAME": "NAME", "STREET": "ADDRESS", "PLACE": "ADDRESS", "AGE": "AGE"}
_PLACES = ("countries", "cities", "long_places")
_WORDS_MAX = 3
_AGAIN_MIN = 3
_SURE_MAX = 0.75  # a form with a check digit is surer than any tag
_KNOWN = 0.5


def named(text: str, tables: Tables) -> Iterator[Finding]:
    tokens, places = tokens_of(text), gazetteers.words_of("long_places")
    tagged = [
        found
        for found in tag(tokens, tables)
        if text[found.start : found.end].lower() not in places
    ]
    taken = [False] * (len(text) + 1)
    for found in tagged:
        taken[found.start : found.end] = [True] * (found.end - found.start)
        if found.kind in KINDS:
            yield Finding(found.start, found.end, KINDS[found.kind], _SURE_MAX * found.confidence)
    parts = {
        word
        for found in tagged
        if found.kind == "NAME"
        for word in _words(text[found.start : found.end])
    }
    for known in (*_again(tokens, parts), *_known(text, tokens)):
        if not any(taken[known.start : known.end]):
            yield known


def _words(name: str) -> list[str]:
    return [
        word
        for word in _bare(name).split()
        if len(word) >= _AGAIN_MIN and not gazetteers.is_ordinary(word.lower())
    ]


def _bare(name: str) -> str:
    return name.removesuffix("'s").removesuffix("\u2019s")


def _again(tokens: Sequence[Token], parts: Collection[str]) -> Iterator[Finding]:
    """Who was named once is meant again by a part of the name."""
    for token in tokens if parts else ():
        if _bare(token.text) in parts:
            yield Finding(token.start, token.end, "NAME", _KNOWN)


def _known(text: str, tokens: Sequence[Token]) -> Iterator[Finding]:
    """Names and places of our lists, where they are written with a capital."""
    places = gazetteers.words_of_all(_PLACES)
    given = gazetteers.words_of("given")
    for at, token in enumerate(tokens):
        if not token.text[0].isupper():
            continue
        for words in range(_WORDS_MAX, 0, -1):
            end = tokens[min(at + words, len(tokens)) - 1].end
            said = text[token.start : end].lower()
            if said in places:
                yield Finding(token.start, end, "ADDRESS", _KNOWN)
                break
        else:
            lower = _bare(token.text.lower())
            if lower in given and not gazetteers.is_ordinary(lower):
                yield Finding(token.start, token.end, "NAME", _KNOWN)

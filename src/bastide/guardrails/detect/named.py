"""Names, addresses and ages in running text: the tagger, and where it sees nothing, the words
that we know."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

from bastide.guardrails.detect import gazetteers
from bastide.guardrails.detect.finding import Finding
from bastide.guardrails.detect.tagger import Tables, Tagged, tag
from bastide.guardrails.detect.tokens import Token, tokens_of

KINDS = {"NAME": "NAME", "STREET": "ADDRESS", "PLACE": "ADDRESS", "AGE": "AGE"}
_PLACES = ("countries", "cities", "long_places")
_COUNTRIES = ("countries", "long_places")
_WORDS_MAX = 3
_AGAIN_MIN = 3
_TERM = re.compile(r"(?!Mc|Mac|De|Di|Du|La|Le|O')\w*[^\W_][A-Z]\w*")
_SURE_MAX = 0.75  # a form with a check digit is surer than any tag
_KNOWN = 0.5


def named(text: str, tables: Tables) -> Iterator[Finding]:
    tokens = tokens_of(text)
    tagged = list(_mended(text, tokens, tag(tokens, tables)))
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
    for known in (*_beside(tokens, tagged), *_again(tokens, parts), *_known(text, tokens)):
        if not any(taken[known.start : known.end]):
            yield known


def _mended(text: str, tokens: Sequence[Token], tagged: Sequence[Tagged]) -> Iterator[Tagged]:
    """What a word of the lists says against the tagger."""
    after = {before.end: token.text.lower() for before, token in pairwise(tokens)}
    streets, organisations = (gazetteers.words_of(name) for name in ("streets", "organisations"))
    for found in tagged:
        words = text[found.start : found.end].lower().split()
        if found.kind != "NAME":
            if " ".join(words) not in gazetteers.words_of("long_places"):
                yield found
        elif _is_no_name(words) or _is_a_term(text[found.start : found.end]):
            continue
        elif after.get(found.end) in organisations or words[-1] in organisations:
            yield replace(found, kind="ORGANISATION")
        elif len(words) > 1 and words[-1] in streets:
            yield replace(found, kind="STREET")
        else:
            yield found


def _is_no_name(words: Sequence[str]) -> bool:
    """A country, a people or an office; it may be found as what it is."""
    said, last = " ".join(words), words[-1]
    if said in gazetteers.words_of_all(_COUNTRIES) or last in gazetteers.words_of("countries"):
        return not gazetteers.is_a("family", last)
    return len(words) == 1 and last in gazetteers.words_of_all(("peoples", "titles"))


def _is_a_term(said: str) -> bool:
    """One word with capitals inside of it, and no name of the lists: `BRAF`, `ClickOnce`."""
    lower = _bare(said).lower()
    is_known = gazetteers.is_a("given", lower) or gazetteers.is_a("family", lower)
    return _TERM.fullmatch(said) is not None and not is_known


def _words(name: str) -> list[str]:
    return [
        word
        for word in _bare(name).split()
        if len(word) >= _AGAIN_MIN and not gazetteers.is_ordinary(word.lower())
    ]


def _bare(name: str) -> str:
    return name.removesuffix("'s").removesuffix("\u2019s")


def _beside(tokens: Sequence[Token], tagged: Sequence[Tagged]) -> Iterator[Finding]:
    """What stands in one list with names is one: A, B and C."""
    names = {
        place for found in tagged if found.kind == "NAME" for place in (found.start, found.end)
    }
    for first, second, third in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if second.text not in (",", "and"):
            continue
        if first.end in names and _may_be_one(third):
            names.update((third.start, third.end))
            yield Finding(third.start, third.end, "NAME", _KNOWN)
        elif third.start in names and second.text == "," and _may_be_one(first):
            yield Finding(first.start, first.end, "NAME", _KNOWN)


def _may_be_one(token: Token) -> bool:
    lower = token.text.lower()
    is_known = gazetteers.is_a("given", lower) or gazetteers.is_a("family", lower)
    return token.text.istitle() and is_known


def _again(tokens: Sequence[Token], parts: Collection[str]) -> Iterator[Finding]:
    """Who was named once is meant again by a part of the name."""
    for token in tokens if parts else ():
        if token.text in parts or _bare(token.text) in parts:
            yield Finding(token.start, token.end, "NAME", _KNOWN)


def _known(text: str, tokens: Sequence[Token]) -> Iterator[Finding]:
    """Names and places of our lists, where they are written with a capital."""
    given, begin = gazetteers.words_of("given"), _first_words()
    for at, token in enumerate(tokens):
        if not token.text[0].isupper():
            continue
        lower = _bare(token.text.lower())
        place = _place(text, tokens, at) if lower in begin else None
        if place is not None:
            yield place
        elif lower in given and not gazetteers.is_ordinary(lower):
            yield Finding(token.start, token.end, "NAME", _KNOWN)


def _place(text: str, tokens: Sequence[Token], at: int) -> Finding | None:
    start = tokens[at].start
    for last in tokens[at : at + _WORDS_MAX][::-1]:
        if text[start : last.end].lower() in gazetteers.words_of_all(_PLACES):
            return Finding(start, last.end, "ADDRESS", _KNOWN)
    return None


@cache
def _first_words() -> frozenset[str]:
    """That a place of the lists begins with, as a token."""
    return frozenset(tokens_of(place)[0].text for place in gazetteers.words_of_all(_PLACES))

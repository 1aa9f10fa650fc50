"""Words and phrases in a text: all of them in one pass (Aho-Corasick), over what a reader sees.

A word is found where it stands by itself, in any case, with look-alikes of other scripts, and with
digits and signs for some of its letters (`5h1t`); but letters alone make a word, so `455` is none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import ahocorasick

from bastide.guardrails.folding import folded

# What may stand for which letters. The first of them is the class by which the automaton goes.
_STANDS_FOR = {
    "0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "il",
    "|": "il", "€": "e", "+": "t",
}  # fmt: skip
_CLASSES = str.maketrans({**{sign: letters[0] for sign, letters in _STANDS_FOR.items()}, "l": "i"})


@dataclass(frozen=True, slots=True)
class WordHit:
    """`word` is the number of what was looked for, in the order given."""

    word: int
    start: int
    end: int


class WordFinder:
    """Made once for a list of words."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = [folded(word).text.strip() for word in words]
        by_class: dict[str, list[int]] = {}
        for number, word in enumerate(self._words):
            if word:
                by_class.setdefault(word.translate(_CLASSES), []).append(number)
        self._automaton: Any = None
        if by_class:
            self._automaton = ahocorasick.Automaton()
            for key, numbers in by_class.items():
                self._automaton.add_word(key, (len(key), numbers))
            self._automaton.make_automaton()

    def find(self, text: str) -> Iterator[WordHit]:
        if self._automaton is None:
            return
        seen = folded(text)
        for last, (size, numbers) in self._automaton.iter(seen.text.translate(_CLASSES)):
            start, end = last + 1 - size, last + 1
            if not _stands_alone(seen.text, start, end):
                continue
            for number in numbers:
                if _is(seen.text[start:end], self._words[number]):
                    yield WordHit(number, *seen.span(start, end))


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no letter or digit goes on where the word has one."""
    before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    after = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return not before and not after


def _is(there: str, word: str) -> bool:
    if there == word:
        return True
    alike = (
        one == other or other in _STANDS_FOR.get(one, "")
        for one, other in zip(there, word, strict=True)
    )
    return all(alike) and any(one.isalpha() for one in there)

"""A text as tokens, and of each token the few numbers that the tagger's features are made of."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bastide.guardrails.detect import gazetteers

_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)?|\n+|[^\w\s]|_")
_WORDS_CACHED = 20_000

Ids = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    start: int
    end: int


def tokens_of(text: str) -> list[Token]:
    return [Token(found[0], *found.span()) for found in _TOKEN.finditer(text)]


def attributes_of(tokens: Sequence[Token]) -> Ids:
    """One row for each token: word, shape, start, end, kind of word, and where it stands."""
    rows = np.array([_of_word(token.text) for token in tokens], dtype=np.uint32).reshape(-1, 5)
    return np.column_stack([rows, _places(tokens)])


@lru_cache(maxsize=_WORDS_CACHED)
def _of_word(word: str) -> tuple[int, int, int, int, int]:
    lower = word.lower()
    return (
        _number(lower),
        _number(_shape(word)),
        _number(lower[:3]),
        _number(lower[-3:]),
        gazetteers.classes_of(lower),
    )


def _number(text: str) -> int:
    return zlib.crc32(text.encode())


def _shape(word: str) -> str:
    if word.isdigit():
        return f"9{min(len(word), 6)}"
    if not word[0].isalnum():
        return word[0]
    if any(char.isdigit() for char in word):
        return "x9"
    marks = "" if word.isascii() else "ü"
    if word.islower():
        return f"x{min(len(word), 3)}{marks}"
    if word.isupper():
        return f"X{min(len(word), 4)}{marks}"
    return f"Xx{marks}" if word[0].isupper() else f"xX{marks}"


def _places(tokens: Sequence[Token]) -> Ids:
    """0 within a sentence, 1 at its start, 2 at a line's; +4 where the text has no capitals at all.

    A capital at a start says little, and in a text without capitals nothing does.
    """
    plain = 0 if any(token.text[0].isupper() for token in tokens) else 4
    places, place = [], 2
    for token in tokens:
        places.append(place + plain)
        char = token.text[0]
        if char == "\n":
            place = 2
        elif char in ".!?:":
            place = 1
        elif char.isalnum():
            place = 0
    return np.array(places, dtype=np.uint32)


def digits_of(text: str) -> list[int]:
    return [int(char) for char in text if char.isdecimal()]

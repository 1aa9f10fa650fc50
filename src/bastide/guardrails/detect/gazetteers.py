"""Words that we know: our own lists of names, places and offices, and a filter of ordinary
words."""

from functools import cache
from importlib.resources import files
from zlib import crc32

import numpy as np

from bastide.guardrails.detect import weights

LISTS = ("given", "family", "countries", "cities", "peoples", "streets", "organisations", "titles")
MORE = {"given": "more_given", "family": "more_family"}  # filters of bits that go on with a list
_ORDINARY = len(LISTS)
_FOLDER = files("bastide.guardrails.detect") / "gazetteers"


@cache
def words_of(name: str) -> frozenset[str]:
    """The words of a list; what is written as one of several words has _ between them."""
    words = (_FOLDER / f"{name}.txt").read_text("utf-8").split()
    return frozenset(word.replace("_", " ") for word in words)


@cache
def words_of_all(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset[str]().union(*map(words_of, names))


def classes_of(lower: str) -> int:
    """A bit for each list that has this word, and one for a word that prose writes small."""
    bits = 0
    for bit, name in enumerate(LISTS):
        if is_a(name, lower):
            bits |= 1 << bit
    if is_ordinary(lower):
        bits |= 1 << _ORDINARY
    return bits


def is_a(name: str, lower: str) -> bool:
    """Whether a list has it, or the filter that goes on with the list."""
    return lower in words_of(name) or (name in MORE and _is_in(MORE[name], lower))


def is_ordinary(lower: str) -> bool:
    return _is_in("ordinary", lower)


def _is_in(name: str, lower: str) -> bool:
    table = weights.array(name)
    if not table.size:
        return False
    place = _place(lower, table.size * 8)
    return bool(table[place >> 3] >> (place & 7) & 1)


def _place(lower: str, size: int) -> int:
    return crc32(lower.encode(), 7) % size


def table_of(words: list[str], bits: int) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    table = np.zeros(bits // 8, dtype=np.uint8)
    for word in words:
        place = _place(word, bits)
        table[place >> 3] |= 1 << (place & 7)
    return table

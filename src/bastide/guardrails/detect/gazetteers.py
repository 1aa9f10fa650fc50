"""Words that we know: our own lists of names, places and offices, and a filter of ordinary
words."""

from functools import cache
from importlib.resources import files
from zlib import crc32

import numpy as np

from bastide.guardrails.detect import weights

LISTS = ("given", "family", "countries", "cities", "peoples", "streets", "organisations", "titles")
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
        if lower in words_of(name):
            bits |= 1 << bit
    if is_ordinary(lower):
        bits |= 1 << _ORDINARY
    return bits


def is_ordinary(lower: str) -> bool:
    table = weights.array("ordinary")
    if not table.size:
        return False
    place = ordinary_place(lower, table.size * 8)
    return bool(table[place >> 3] >> (place & 7) & 1)


def ordinary_place(lower: str, size: int) -> int:
    return crc32(lower.encode(), 7) % size


def ordinary_table(words: list[str], bits: int) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    table = np.zeros(bits // 8, dtype=np.uint8)
    for word in words:
        place = ordinary_place(word, bits)
        table[place >> 3] |= 1 << (place & 7)
    return table

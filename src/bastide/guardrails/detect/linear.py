"""Linear scores of a text by its hashed words and letters. It needs numpy alone: a training job
reads this same file.

A row of weights belongs to a hash, not to a word, so the weights hold no text that they were
learned from.
"""

import re
import zlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

ROWS = 1 << 15
LETTERS = (3, 5)
WINDOW, STEP = 2000, 1600  # characters: a long text is as bad as its worst part
_MARKS = re.compile(r"https?://\S{1,500}|@\w{1,50}|&#?\w{1,8};|\bRT\b")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?|[!?]")


@dataclass(frozen=True, slots=True)
class Linear:
    """A column of weights and a bias for each of `names`."""

    names: tuple[str, ...]
    rows: NDArray[np.float32]
    biases: NDArray[np.float32]

    def scores(self, text: str) -> dict[str, float]:
        """For each name the probability at the worst window."""
        best = np.full(len(self.names), -np.inf)
        for window in windows_of(text):
            places, values = features_of(window)
            best = np.maximum(best, values @ self.rows[places] + self.biases)
        odds = 1 / (1 + np.exp(-np.clip(best, -50, 50)))
        return {name: float(score) for name, score in zip(self.names, odds, strict=True)}


def windows_of(text: str) -> list[str]:
    """The text in parts that overlap: no part of it is left out, however long it is."""
    last = max(1, len(text) - WINDOW + STEP)
    return [text[at : at + WINDOW] for at in range(0, last, STEP)]


def features_of(text: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The places of a text's features, and their values: of length 1, so that long texts do not
    shout."""
    words = _WORD.findall(_MARKS.sub(" ", text).lower())
    hashes = [zlib.crc32(word.encode()) for word in words]
    grams = [zlib.crc32(f"{a} {b}".encode()) for a, b in pairwise(words)]
    letters = [
        zlib.crc32(part.encode(), 1)
        for word in {f"<{word}>" for word in words}
        for size in range(LETTERS[0], LETTERS[1] + 1)
        for part in (word[at : at + size] for at in range(max(1, len(word) - size + 1)))
    ]
    every = np.array([*hashes, *grams, *letters], dtype=np.uint32)
    places, counts = np.unique((every ^ (every >> np.uint32(15))) % ROWS, return_counts=True)
    values = 1 + np.log(counts.astype(np.float32)) if len(counts) else np.zeros(0, np.float32)
    length = float(np.linalg.norm(values)) or 1.0
    return places.astype(np.intp), (values / length).astype(np.float32)

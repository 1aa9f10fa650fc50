"""Words and their weight: BM25 (Lucene's form) whose statistics are those of what a session sees.

How rare a word is, and how long a chunk usually is, is counted anew for each question over the
partitions that its session sees: one statistic for all would tell below of what lies above.
Source: S. Robertson, H. Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from bastide.kernel.small_words import OF_AN_INDEX

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ids = npt.NDArray[np.uint64]
    Rows = npt.NDArray[np.uint32]
    Counts = npt.NDArray[np.uint16]
    Mask = npt.NDArray[np.bool_]
    Scores = npt.NDArray[np.float64]

K1, B = 1.5, 0.75
WORDS_MAX = 20_000  # of one text
QUERY_WORDS_MAX = 256
_WORD = re.compile(r"\w\w+")


def words_of(text: str) -> Counter[int]:
    """How often each word stands in a text. Of a word only 64 bits of its digest are kept."""
    found: Counter[int] = Counter()
    for number, match in enumerate(_WORD.finditer(text.lower())):
        if number >= WORDS_MAX:
            break
        if match[0] not in OF_AN_INDEX:
            found[_id(match[0])] += 1
    return found


def _id(word: str) -> int:
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@dataclass(frozen=True, slots=True)
class Postings:
    """Which rows have a word, and how often; `words` sorted, the rest of each from `starts`."""

    words: "Ids"
    starts: "npt.NDArray[np.int64]"
    rows: "Rows"
    counts: "Counts"

    @property
    def size(self) -> int:
        return len(self.rows)

    def of(self, word: int) -> "tuple[Rows, Counts]":
        import numpy as np

        at = int(np.searchsorted(self.words, np.uint64(word)))
        if at == len(self.words) or int(self.words[at]) != word:
            return self.rows[:0], self.counts[:0]
        place = slice(int(self.starts[at]), int(self.starts[at + 1]))
        return self.rows[place], self.counts[place]


def postings(words: "Ids", rows: "Rows", counts: "Counts") -> Postings:
    """Of one entry for each word of each row, the rows ascending."""
    import numpy as np

    order = np.argsort(words, kind="stable")  # the rows of each word stay in their order
    words, rows, counts = words[order], rows[order], counts[order]
    each, starts = np.unique(words, return_index=True)
    return Postings(each, np.append(starts, len(words)), rows, counts)


def merged(parts: Sequence[Postings]) -> Postings:
    import numpy as np

    words = np.concatenate([np.repeat(one.words, np.diff(one.starts)) for one in parts])
    rows = np.concatenate([one.rows for one in parts])
    return postings(words, rows, np.concatenate([one.counts for one in parts]))


def grown(parts: tuple[Postings, ...], more: Postings) -> tuple[Postings, ...]:
    """Few parts, each at least twice the next: so each entry is merged a few times only."""
    while parts and parts[-1].size < 2 * more.size:
        more = merged((parts[-1], more))
        parts = parts[:-1]
    return (*parts, more)


@dataclass(frozen=True, slots=True)
class Words:
    """Of one partition, as one question finds it: `lengths` in words, `alive` rows count."""

    parts: tuple[Postings, ...]
    lengths: "npt.NDArray[np.uint32]"
    alive: "Mask"

    def of(self, word: int, *, whole: bool) -> "tuple[Rows, Counts]":
        """`whole`: none of its rows has gone."""
        import numpy as np

        if not self.parts:
            return np.empty(0, np.uint32), np.empty(0, np.uint16)
        found = [part.of(word) for part in self.parts]
        rows = np.concatenate([rows for rows, _ in found])
        counts = np.concatenate([counts for _, counts in found])
        if whole:
            return rows, counts
        kept = self.alive[rows]
        return rows[kept], counts[kept]


def scores(text: str, seen: Sequence[Words]) -> "list[Scores]":
    """For each partition a score for each row; 0 where no word of the text is."""
    import numpy as np

    found = [np.zeros(len(each.lengths), np.float64) for each in seen]
    count = sum(int(each.alive.sum()) for each in seen)
    if not count:
        return found
    mean = sum(int(each.lengths[each.alive].sum()) for each in seen) / count or 1.0
    lengths = [K1 * (1 - B + B * each.lengths / mean) for each in seen]
    whole = [bool(each.alive.all()) for each in seen]
    for word in sorted(words_of(text))[:QUERY_WORDS_MAX]:
        entries = [one.of(word, whole=all_of) for one, all_of in zip(seen, whole, strict=True)]
        having = sum(len(rows) for rows, _ in entries)
        rarity = np.log(1 + (count - having + 0.5) / (having + 0.5))
        for score, length, (rows, counts) in zip(found, lengths, entries, strict=True):
            score[rows] += rarity * (counts / (counts + length[rows]))
    return found

"""How much a text is about a denied topic by what it means: vectors of its sentences beside those
of the definition and the examples. What is said in other words is seen by this alone (decision
0070)."""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

from bastide.guardrails.ports import About, Embeds
from bastide.kernel.call import Principal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]

ABOUT_FROM = 0.28  # cosine; chosen on one half of evals/topics.toml, told on the other
PIECE_LETTERS = 120  # what one vector is of, at the least: short sentences go together
SENTENCE_LETTERS = 240  # of a sentence at once: one may have no end
KEPT_MAX = 2_048
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(slots=True)
class Kept:
    """Vectors of what was read lately, by a digest of the text. Nobody finds what another session's
    label or agency has asked. Safe to use from many threads."""

    _held: "OrderedDict[bytes, Vector]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, key: bytes) -> "Vector | None":
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def keep(self, key: bytes, vector: "Vector") -> None:
        with self._lock:
            self._held[key] = vector
            while len(self._held) > KEPT_MAX:
                self._held.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Meaning:
    embeds: Embeds
    kept: Kept = field(default_factory=Kept)

    def score(self, who: Principal, topic: About, text: str) -> float | None:
        """From 0 to 1, that of the piece that is nearest; None where the region has no model for
        it. Raises Unavailable."""
        about = [f"{topic.name}: {topic.definition}", *topic.examples]
        said = list(pieces(text))
        if not said:
            return 0.0
        found = self._vectors(who, [*about, *said])
        if found is None:
            return None
        import numpy as np

        centre = np.sum(found[: len(about)], axis=0)
        length = float(np.linalg.norm(centre)) or 1.0
        return max(_score(float(one @ centre) / length) for one in found[len(about) :])

    def _vectors(self, who: Principal, texts: Sequence[str]) -> "list[Vector] | None":
        keys = [_key(who, text) for text in texts]
        found = {key: self.kept.find(key) for key in keys}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if found[key] is None}
        if missing:
            made = self.embeds.vectors(who, list(missing.values()))
            if made is None:
                return None
            for key, vector in zip(missing, made, strict=True):
                found[key] = vector
                self.kept.keep(key, vector)
        return [vector for key in keys if (vector := found[key]) is not None]


def pieces(text: str) -> Iterator[str]:
    """Sentences, short ones together, and long ones in parts that end between words."""
    piece = ""
    for sentence in _parts(text):
        piece = f"{piece} {sentence}".strip()
        if len(piece) >= PIECE_LETTERS:
            yield piece
            piece = ""
    if piece:
        yield piece


def _parts(text: str) -> Iterator[str]:
    for sentence in _SENTENCES.split(text):
        rest = sentence
        while len(rest) > SENTENCE_LETTERS:
            end = rest.rfind(" ", PIECE_LETTERS, SENTENCE_LETTERS)
            end = end if end > 0 else SENTENCE_LETTERS
            yield rest[:end]
            rest = rest[end:]
        yield rest


def _score(cosine: float) -> float:
    """0.5 where it begins to be about it."""
    if cosine < ABOUT_FROM:
        return max(0.0, 0.5 * cosine / ABOUT_FROM)
    return min(1.0, 0.5 + 0.5 * (cosine - ABOUT_FROM) / (1 - ABOUT_FROM))


def _key(who: Principal, text: str) -> bytes:
    whose = f"{who.account}\0{who.session.text}\0"
    return blake2b((whose + text).encode("utf-8", "surrogatepass"), digest_size=16).digest()

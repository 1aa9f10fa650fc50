"""A text as a reader sees it, for matching words: what is drawn alike is alike.

Every character is folded by itself, so that a text may come in parts: compatibility forms (NFKD),
case, marks and invisible characters left out, letters of other scripts that look like Latin ones.
Digits and signs that stand for letters stay: `words.py` reads them both ways.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from bastide.kernel.lookalikes import SMALL

_INVISIBLE = frozenset({"Mn", "Me", "Cf", "Cc", "Cs"})
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_FOLDED_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Folded:
    """`text`, and for each of its characters the place in the original it comes from. `places` is
    None where they are their own."""

    text: str
    places: list[int] | None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where `text[start:end]` stands in the original."""
        if self.places is None:
            return start, end
        return self.places[start], self.places[end - 1] + 1


def folded(text: str) -> Folded:
    """Runs of white space are one space."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return Folded(text.lower(), None)
    out: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for one in _folded(character):
            if one == " " and out and out[-1] == " ":
                continue
            out.append(one)
            places.append(place)
    return Folded("".join(out), places)


def seen(text: str) -> Folded:
    """What is matched as it is written, but as a reader sees it: without what is invisible, and
    with plain forms for compatible ones (full-width digits, letters for formulas)."""
    if text.isascii() and not _CONTROL.search(text):
        return Folded(text, None)
    out: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if is_visible(character):
            plain = unicodedata.normalize("NFKC", character)
            out.append(plain if len(plain) == 1 else character)
            places.append(place)
    return Folded("".join(out), places)


def paired(text: str) -> str:
    """As long as `text`, and text: halves of pairs of surrogates, which are none, as U+FFFD."""
    if text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text):
        return text
    return "".join("\ufffd" if "\ud800" <= one <= "\udfff" else one for one in text)


def is_visible(character: str) -> bool:
    """Whether a reader sees it, be it as a space."""
    return bool(_folded(character))


@lru_cache(maxsize=_FOLDED_MAX)
def _folded(character: str) -> str:
    if character.isspace():
        return " "
    parts = unicodedata.normalize("NFKD", character).casefold()
    seen = (one for one in parts if unicodedata.category(one) not in _INVISIBLE)
    return "".join(SMALL.get(one, one) for one in seen)

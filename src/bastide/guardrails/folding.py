"""A text as a reader sees it, for matching words: what is drawn alike is alike.

Every character is folded by itself, so that a text may come in parts: compatibility forms (NFKD),
case, marks and invisible characters left out, letters of other scripts that look like Latin ones.
Digits and signs that stand for letters stay: `words.py` reads them both ways.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

# Letters of other scripts, and phonetic ones, that are drawn as a Latin one in common fonts.
_LOOKALIKES = {
    "a": "\u0430\u03b1\u0251",
    "b": "\u044c\u03b2",
    "c": "\u0441\u03f2",
    "d": "\u0501\u0257",
    "e": "\u0435\u0454\u025b",
    "f": "\u0493\u0192",
    "g": "\u0261\u050d",
    "h": "\u04bb",
    "i": "\u0456\u03b9\u0131\u0269\u04cf",
    "j": "\u0458\u03f3",
    "k": "\u043a\u03ba",
    "l": "\u217c\u01c0",
    "m": "\u043c\u217f",
    "n": "\u043f\u03b7\u0578",
    "o": "\u043e\u03bf\u0585\u03c3",
    "p": "\u0440\u03c1",
    "q": "\u051b",
    "r": "\u0433",
    "s": "\u0455\ua731",
    "t": "\u0442\u03c4",
    "u": "\u03c5\u057d\u028b",
    "v": "\u03bd\u0475",
    "w": "\u051d\u0461\u03c9",
    "x": "\u0445\u03c7",
    "y": "\u0443\u04af\u03b3",
    "z": "\u1d22",
}
_LATIN = {other: latin for latin, others in _LOOKALIKES.items() for other in others}
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
    return "".join(_LATIN.get(one, one) for one in seen)

"""Dirty words, markings above an item's label, and what identifies people.

A text is looked at in several views, since a word can be written in disguise: with letters of
other alphabets, with invisible characters, with spaces, as base64, as hexadecimal digits, in
UTF-16. What is encrypted, compressed or written in a cipher is not found.
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ahocorasick
import re2

from bastide.kernel import linear
from bastide.kernel.labels.scheme import MarkingError, Scheme
from bastide.kernel.lookalikes import CAPITAL
from bastide.transfer.filters import formats
from bastide.transfer.filters.model import BadItem
from bastide.transfer.model import Item

WORD_MAX = 256
_CONFUSABLE = str.maketrans(CAPITAL)
_MARKING = r"[A-Z][A-Z ]{0,30}//[A-Z0-9 ,/\-]{2,120}"
_PEOPLE = {
    "a social security number": r"\b\d{3}-\d{2}-\d{4}\b",
    "a payment card's number": r"\b(?:\d[ \-]?){12,18}\d\b",
    "an access key of a cloud": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")
_SPACES = re.compile(r"\s+")


def plain(text: str) -> str:
    """Without disguise: one alphabet, one case, single spaces, nothing invisible."""
    text = unicodedata.normalize("NFKD", text).upper().translate(_CONFUSABLE)
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Mn"))
    return _SPACES.sub(" ", text)


def views(text: str) -> Iterator[str]:
    """A text as a reader may come to see it. All are `plain`; the second has no spaces."""
    flat = plain(text)
    yield flat
    yield flat.replace(" ", "")
    for run in _BASE64.findall(text):
        try:
            yield from _decoded(base64.b64decode(run + "=" * (-len(run) % 4)))
        except binascii.Error:
            continue
    for run in _HEX.findall(text):
        yield from _decoded(bytes.fromhex(run))
    if "\0" in text:
        yield plain(text.replace("\0", ""))


def _decoded(raw: bytes) -> Iterator[str]:
    yield plain(raw.decode("utf-8", "ignore"))
    yield plain(raw.decode("utf-16-le", "ignore"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is looked for."""

    scheme: Scheme
    words: Any  # an automaton; None where the site has no list
    patterns: Any
    own: Sequence[Any] = ()  # the site's

    def check(self, item: Item, data: memoryview) -> None:
        """Raises BadItem. Names, tags and metadata are content, too."""
        found = formats.of(item)
        for text in _said(item):
            self._check_text(text, item.label, _LOOK)
        for text in found.texts(data):
            self._check_text(text, item.label, _IN_PROGRAMS if found.name == "image" else _LOOK)

    def _check_text(self, text: str, label: str, looks: "Sequence[_Look]") -> None:
        for view in views(text):
            self._check_view(view, label, looks)

    def _check_view(self, view: str, label: str, looks: "Sequence[_Look]") -> None:
        if self.words is not None and next(self.words.iter(view), None) is not None:
            raise BadItem("it holds a word of this region's list")
        for which in self.patterns.Match(view.encode()) or ():
            looks[which](self, view, label)
        if any(pattern.search(view) for pattern in self.own):
            raise BadItem("it holds what a pattern of this region's looks for")

    def _look_at_markings(self, view: str, label: str) -> None:
        allowed = self.scheme.clearance(label)
        for found in re.findall(_MARKING, view):
            marked = self._marked(found)
            if marked is not None and not allowed.dominates(marked):
                raise BadItem("it holds a marking above its label")

    def _marked(self, text: str) -> Any:
        """The label that stands in `text`: of what is around its `//`, as much as makes one."""
        head, _, tail = text.partition("//")
        before, after = head.split(" "), tail.split(" ")
        for end in range(len(after), 0, -1):
            for start in range(len(before)):
                words = " ".join(before[start:]) + "//" + " ".join(after[:end]).strip(" ,-/")
                try:
                    return self.scheme.parse(words)
                except MarkingError:
                    continue
        return None

    def _look_at_social(self, view: str, label: str) -> None:
        for area, group, serial in re.findall(r"\b(\d{3})-(\d{2})-(\d{4})\b", view):
            good = area not in ("000", "666") and area < "900"
            if good and group != "00" and serial != "0000":
                raise BadItem("it holds a social security number")

    def _look_at_cards(self, view: str, label: str) -> None:
        for run in re.findall(r"\b(?:\d[ \-]?){12,18}\d\b", view):
            if _luhn([int(c) for c in run if c.isdigit()]):
                raise BadItem("it holds a payment card's number")

    def _pass(self, view: str, label: str) -> None:
        """Programs are full of long numbers, one in ten of which could be a card's."""

    def _refuse_key(self, view: str, label: str) -> None:
        raise BadItem("it holds a secret key")


_Look = Callable[[Words, str, str], None]
_LOOK: tuple[_Look, ...] = (
    Words._look_at_markings,
    Words._look_at_social,
    Words._look_at_cards,
    Words._refuse_key,
    Words._refuse_key,
)
_IN_PROGRAMS = tuple(Words._pass if one is Words._look_at_cards else one for one in _LOOK)


def _luhn(digits: Sequence[int]) -> bool:
    doubled = [2 * d - 9 * (d > 4) if n % 2 else d for n, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0 and any(digits)


def compiled(pattern: str) -> Any:
    """A site's pattern, in any case of its letters, since a view has but one. Raises ValueError."""
    try:
        found = linear.compiled("(?i)" + pattern)
    except linear.BadPattern as error:
        raise ValueError(f"{pattern[:100]} is no pattern of RE2: {error}") from None
    if found.search(""):
        raise ValueError(f"{pattern[:100]} is in every text")
    return found


def made(scheme: Scheme, words: Sequence[str], own: Sequence[str] = ()) -> Words:
    """Patterns in the order of `_LOOK`; words with and without their spaces."""
    patterns = re2.Set.SearchSet()
    for pattern in (_MARKING, *_PEOPLE.values()):
        patterns.Add(pattern)
    patterns.Compile()
    automaton = ahocorasick.Automaton()
    for word in words:
        flat = plain(word[:WORD_MAX]).strip()
        for one in {flat, flat.replace(" ", "")} - {""}:
            automaton.add_word(one, one)
    if len(automaton) == 0:
        automaton = None
    else:
        automaton.make_automaton()
    compiled_own = [compiled(one) for one in own]
    return Words(scheme=scheme, words=automaton, patterns=patterns, own=compiled_own)


def _said(item: Item) -> list[str]:
    maps = (item.headers, item.metadata, item.tags, item.provenance)
    pairs = [text for one in maps for pair in one.items() for text in pair]
    return [item.name, *pairs]

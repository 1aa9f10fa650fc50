"""A text's portions, by the marks that it carries: `(S//NF)` before a paragraph is its label.

Source: ISOO, Marking Classified National Security Information (32 CFR 2001.21 (c)).

A portion reaches from its mark to the next one, or to the end of its paragraph. What has none is
of the document's label. A mark inside a paragraph can only raise it: `(C)` may be a copyright.
What a reader may take for a mark and is none (`(S/NF)`, `(s)`, one with a letter of another
script) leaves its portion to the document.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bastide.kernel.labels.label import Label
from bastide.kernel.labels.scheme import MarkingError, Scheme
from bastide.kernel.lookalikes import CAPITAL, SMALL
from bastide.knowledge.reading import Unreadable

_PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s*")
_NAMES = ("TOPSECRET", "SECRET", "CONFIDENTIAL")  # old ones, written out
_OTHER = "[^\\x00-\\x7f\\s]"  # of another script: it may look like any letter of a level
_BETWEEN = "[\\s.]{0,2}"  # letters that are set apart
_INVISIBLE = frozenset({"Mn", "Me", "Cf"})  # kinds of characters; marks on letters too
_CONTROLS = {n: None for n in (*range(0x20), *range(0x7F, 0xA0)) if not chr(n).isspace()}
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # said to be letters, and seen as nothing
_BRACKETS = {"Ps": "(", "Pe": ")"}
_LATIN = str.maketrans({**SMALL, **CAPITAL})
_CAVEATS = "NF|NOFORN|SI|TK|OC|ORCON|REL|RELIDO|PROPIN|IMCON|FGI|HCS"
_AFTER = rf"\s{{0,8}}(?:[)\]}}>/\\,:;|_-]|[^\w\s\x00-\x7f]|(?:{_CAVEATS})\b)"
_BEFORE = r"[ \t]*(?:(?:#{1,6}|[-*+•>|]|\(?[0-9A-Za-z]{1,3}[.)])[ \t]+)*"


@dataclass(frozen=True, slots=True)
class Portion:
    """`label` is None where nothing marks it."""

    start: int
    end: int
    label: Label | None


def portions(text: str, scheme: Scheme, ceiling: Label) -> list[Portion]:
    """All of a text, in order. Unreadable where a mark is above `ceiling`, or says nothing."""
    levels = "|".join(sorted(map(re.escape, scheme.levels), key=len, reverse=True))
    mark = re.compile(rf"\(((?:{levels})(?://[^()\n]{{1,200}})?)\)")
    seems = _seeming(scheme)
    found: list[Portion] = []
    for start, end in _paragraphs(text):
        for part in _parts(text, (start, end), mark):
            labels = [_label(m[1], scheme, ceiling) for m in mark.finditer(text, *part)]
            head = re.compile(_BEFORE + mark.pattern).match(text, *part)
            label = _joined(labels) if head else None
            if label not in (None, ceiling) and seems.search(
                _shown(mark.sub("", text[slice(*part)]))
            ):
                label = None
            found.append(Portion(*part, label))
    return _merged(found)


def _shown(text: str) -> str:
    """As a reader sees it: without what is invisible, in one width and case, and letters that are
    drawn as a Latin one as that."""
    text = text.translate(_CONTROLS)
    if text.isascii():
        return text.upper()
    parts = unicodedata.normalize("NFKD", text)
    seen = "".join(_seen(one) for one in parts)
    return unicodedata.normalize("NFKC", seen).translate(_LATIN).upper()


def _seen(one: str) -> str:
    kind = unicodedata.category(one)
    return "" if kind in _INVISIBLE or one in _BLANK else _BRACKETS.get(kind, one)


def _seeming(scheme: Scheme) -> "re.Pattern[str]":
    words = "|".join(_word(each) for each in (*scheme.levels, *_NAMES))
    return re.compile(rf"[(\[{{<]\s{{0,8}}(?:{words}|{_OTHER}{{1,3}}){_AFTER}")


def _word(level: str) -> str:
    """A level's mark, any but not all of whose letters are of another script."""
    letters = [f"(?:{re.escape(one)}|{_OTHER})" for one in level.upper() if not one.isspace()]
    latin = rf"(?=(?:{_OTHER}{_BETWEEN}){{0,{len(letters) - 1}}}[\x21-\x7e])"
    return latin + _BETWEEN.join(letters)


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for gap in _PARAGRAPH.finditer(text):
        yield start, gap.end()
        start = gap.end()
    if start < len(text):
        yield start, len(text)


def _parts(text: str, span: tuple[int, int], mark: "re.Pattern[str]") -> Iterator[tuple[int, int]]:
    """A paragraph, split before each of its lines that begins with a mark."""
    lines = re.compile("^" + _BEFORE + mark.pattern, re.MULTILINE)
    start, end = span
    for match in lines.finditer(text, start, end):
        if match.start() > start and text[match.start() - 1] == "\n":
            yield start, match.start()
            start = match.start()
    if start < end:
        yield start, end


def _label(marking: str, scheme: Scheme, ceiling: Label) -> Label:
    try:
        label = scheme.parse(marking)
    except MarkingError as error:
        raise Unreadable(f"It has a portion marked ({marking[:64]}): {error}") from error
    if not ceiling.dominates(label):
        raise Unreadable(f"It has a portion marked ({marking[:64]}), and is itself {ceiling}.")
    return label


def _joined(labels: list[Label]) -> Label:
    found = labels[0]
    for label in labels[1:]:
        found = found.join(label)
    return found


def _merged(found: list[Portion]) -> list[Portion]:
    """Neighbours of one label are one."""
    merged: list[Portion] = []
    for each in found:
        if merged and merged[-1].label == each.label:
            merged[-1] = replace(merged[-1], end=each.end)
        else:
            merged.append(each)
    return merged

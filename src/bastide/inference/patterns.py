"""A caller's regular expression as engines' grammars take it, and matched in linear time.

Grammars know literals, classes, groups, alternatives and repetition, from the first character to
the last; what else stands in a pattern they drop without a word. So short forms are written out and
the ends are fixed: narrower than what was asked, never wider.
"""

import re
from functools import lru_cache
from typing import Any

from bastide.kernel import linear

PATTERN_CHARACTERS_MAX = 500
CACHED = 256
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": " \\t\\n\\r"}
_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?:|[^\\]", re.DOTALL)


class BadPattern(Exception):
    """It cannot be held, and why."""


def grammatical(pattern: Any) -> str:
    """Raises BadPattern."""
    if not isinstance(pattern, str):
        raise BadPattern("is no text")
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise BadPattern(f"has more than {PATTERN_CHARACTERS_MAX} characters")
    _compiled(pattern)
    inner = pattern.removeprefix("^")
    if inner.endswith("$") and not inner.endswith("\\$"):
        inner = inner[:-1]
    pieces = _PIECE.findall(inner)
    if any(piece in ("^", "$") for piece in pieces):
        raise BadPattern("has an anchor that is not at its ends")
    if len(inner) < len(pattern) and "|" in pieces and _splits_at_top(pieces):
        raise BadPattern("has an anchor in one of several alternatives")
    return f"^({''.join(map(_written, pieces))})$"


def found_in(pattern: str, text: str) -> bool:
    return _compiled(pattern).search(text) is not None


def _splits_at_top(pieces: list[str]) -> bool:
    depth = 0
    for piece in pieces:
        depth += (piece in ("(", "(?:")) - (piece == ")")
        if piece == "|" and depth == 0:
            return True
    return False


def _written(piece: str) -> str:
    if piece.startswith("["):
        return re.sub(r"\\([dws])", lambda found: _CLASSES[found[1]], piece)
    if piece == "(?:":
        return "("
    if piece.startswith("\\"):
        return _escape(piece[1])
    return piece


def _escape(letter: str) -> str:
    if letter.lower() in _CLASSES:
        return f"[{'^' if letter.isupper() else ''}{_CLASSES[letter.lower()]}]"
    if letter.isalnum():
        raise BadPattern(f"uses \\{letter}")
    return f"[\\{letter}]" if letter in "\\]^-" else f"[{letter}]"


@lru_cache(maxsize=CACHED)
def _compiled(pattern: str) -> Any:
    try:
        return linear.compiled(pattern)
    except linear.BadPattern as error:
        raise BadPattern("is not one that runs in linear time") from error

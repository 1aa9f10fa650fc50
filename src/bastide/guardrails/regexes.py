"""Patterns of a guardrail on RE2: time linear in the text, whatever the pattern.

What RE2 does not know (look-around, references back) is refused, as by AWS. One search is linear,
but finding all is not: each may look to the end of the text and find a letter. So none looks
farther than PIECE.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from bastide.guardrails.folding import paired
from bastide.kernel import linear
from bastide.kernel.linear import BadPattern

__all__ = ["BadPattern", "check", "find"]

MEMORY_MAX = 4 << 20  # of one pattern: an agency can make each take all of it
PIECE = 4_096  # characters that one search sees
AHEAD = 1_024  # that what begins has before it at the least
_KEPT_MAX = 128


def check(pattern: str) -> None:
    """Raises BadPattern. Nothing is matched."""
    _compiled(pattern)


def find(pattern: str, text: str) -> Iterator[tuple[int, int]]:
    """Where it matches, from left to right; what matches nothing at all is no match. One that is
    longer than AHEAD is found as far as was looked."""
    ready, said, at = _compiled(pattern), paired(text), 0
    while at < len(said):
        stop = min(at + PIECE, len(said))
        settled = stop if stop == len(said) else stop - AHEAD
        last = at
        for match in ready.finditer(said, at, stop):
            start, end = match.span()
            if start >= settled:
                break  # the next piece says it with what follows
            if start < end:
                yield start, end
                last = end
        at = max(last, settled)


@lru_cache(maxsize=_KEPT_MAX)
def _compiled(pattern: str) -> Any:
    return linear.compiled(pattern, memory_max=MEMORY_MAX)

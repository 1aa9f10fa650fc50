"""Patterns of a guardrail on RE2: time linear in the text, whatever the pattern.

What RE2 does not know (look-around, references back) is refused, as by AWS.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import re2

from bastide.guardrails.folding import paired

MEMORY_MAX = 4 << 20  # of one pattern: an agency can make each take all of it
_KEPT_MAX = 128


class BadPattern(ValueError):
    """What is no pattern here, or too large a one."""


def check(pattern: str) -> None:
    """Raises BadPattern. Nothing is matched."""
    _compiled(pattern)


def find(pattern: str, text: str) -> Iterator[tuple[int, int]]:
    """Where it matches, from left to right; what matches nothing at all is no match."""
    for match in _compiled(pattern).finditer(paired(text)):
        start, end = match.span()
        if start < end:
            yield start, end


@lru_cache(maxsize=_KEPT_MAX)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY_MAX
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        said = error.args[0] if error.args else ""
        why = said.decode("utf-8", "replace") if isinstance(said, bytes) else "it is no text"
        raise BadPattern(why) from error

"""Patterns that take linear time, whatever the pattern and the text: RE2's. It is imported late, as
a region starts without it."""

from typing import Any

MEMORY_MAX = 8 << 20  # RE2's own default, of one pattern


class BadPattern(ValueError):
    """What is no pattern here, or too large a one."""


def compiled(pattern: str, *, memory_max: int = MEMORY_MAX) -> Any:
    """Raises BadPattern. Whoever asks often keeps it."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory_max
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        said = error.args[0] if error.args else ""
        why = said.decode("utf-8", "replace") if isinstance(said, bytes) else "it is no text"
        raise BadPattern(why) from error

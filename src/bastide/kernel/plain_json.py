"""JSON that strangers send, where Python's `json` takes more than RFC 8259 does, or than who reads
on can bear."""

import math
import re
from collections.abc import Iterable
from typing import Any

HALF_OF_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # perhaps of a pair


def finite(text: str) -> float:
    """For `parse_float` and `parse_constant`. ValueError for NaN, infinities, and what is one."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value


def check_depth(document: Any, levels_max: int) -> None:
    """ValueError for objects and arrays within each other on more levels than that."""
    level = [document]
    for _ in range(levels_max):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(f"deeper than {levels_max} levels")


def _inside(value: Any) -> Iterable[Any]:
    """The containers in a container, or in what may be none."""
    items = value.values() if type(value) is dict else value if type(value) is list else ()
    return [item for item in items if type(item) in (dict, list)]

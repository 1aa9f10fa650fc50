"""JSON pointers into what a model answered beside its words.

Source: https://datatracker.ietf.org/doc/html/rfc6901
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bastide.kernel.errors import invalid

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")


def check_pointers(pointers: Sequence[str]) -> None:
    """Raises ServiceError."""
    for pointer in pointers:
        if not _POINTER.fullmatch(pointer):
            raise invalid(
                f"The value {pointer[:80]} at additionalModelResponseFieldPaths is not a valid "
                "JSON Pointer. Provide one, and try again."
            )


def pointed_at(fields: Mapping[str, Any], pointers: Sequence[str]) -> dict[str, Any]:
    """Those fields, in their places. What is not there is left out, as AWS does."""
    found: dict[str, Any] = {}
    for pointer in pointers:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]
        if _has(fields, steps):
            _copy(fields, found, steps)
    return found


def _has(fields: Any, steps: Sequence[str]) -> bool:
    for step in steps:
        if not isinstance(fields, Mapping) or step not in fields:
            return False
        fields = fields[step]
    return True


def _copy(source: Mapping[str, Any], target: dict[str, Any], steps: Sequence[str]) -> None:
    *above, last = steps
    for step in above:
        source, target = source[step], target.setdefault(step, {})
    target[last] = source[last]

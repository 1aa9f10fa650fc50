"""How two things that were told differ."""

from typing import Any


def apart(one: Any, other: Any) -> str:
    """Where they first differ, and how."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        n = next(n for n, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
        return f"{n}: {apart(one[n], other[n])}"
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        name = next(name for name in one if one[name] != other[name])
        return f"{name}: {apart(one[name], other[name])}"
    return f"{one!r} and {other!r}"

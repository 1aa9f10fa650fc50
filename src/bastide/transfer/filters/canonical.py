"""What two parsers must agree on, as a digest; and the two holes of Python's JSON, closed."""

import json
from hashlib import sha256
from typing import Any


def digest(value: Any) -> str:
    """The same for equal values, however they were written. What stands in another order is
    another value: a filter could say something by it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode()).hexdigest()


def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no key stands twice: two parsers may take different ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")

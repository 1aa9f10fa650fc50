"""Where the next page begins, as a text. The caller has it sealed (`wire/page_tokens.py`); it would
be harmless when forged, for it holds only a position."""

import json
from typing import Any

from bastide.kernel.errors import ServiceError

TOKEN_SIZE_MAX = 4096


def dump(*parts: Any) -> str:
    return json.dumps(parts, separators=(",", ":"))


def load(token: str | None, *types: type, code: str = "InvalidParameterException") -> Any:
    """The parts of a token, each of its type; None without one. ServiceError when forged."""
    if not token:
        return None
    try:
        if len(token) > TOKEN_SIZE_MAX:
            raise ValueError("too long")
        parts = json.loads(token)
        json.dumps(parts, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise ServiceError(code, "The specified nextToken is invalid.") from error
    good = isinstance(parts, list) and len(parts) == len(types)
    if not good or not all(type(part) is kind for part, kind in zip(parts, types, strict=True)):
        raise ServiceError(code, "The specified nextToken is invalid.")
    if any(isinstance(part, int) and not -(2**63) <= part < 2**63 for part in parts):
        raise ServiceError(code, "The specified nextToken is invalid.")
    return parts

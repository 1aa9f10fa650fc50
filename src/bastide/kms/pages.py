"""Pages: a marker is the name to go on behind. What the caller has of it is sealed
(`wire/page_tokens.py`)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from bastide.kms.model import Params

T = TypeVar("T")
LIMIT_DEFAULT = 100


def limit_of(req: Params, default: int = LIMIT_DEFAULT) -> int:
    return int(req.get("Limit") or default)


def after(req: Params) -> str:
    """The name seen last; "" at the beginning."""
    return str(req.get("Marker") or "")


def answer(
    member: str,
    found: Sequence[T],
    limit: int,
    name: Callable[[T], str],
    shown: Callable[[T], Params],
) -> Params:
    """A page of at most `limit`, from one more than that."""
    page = found[:limit]
    more = len(found) > limit
    made: Params = {member: [shown(each) for each in page], "Truncated": more}
    if more:
        made["NextMarker"] = name(page[-1])
    return made

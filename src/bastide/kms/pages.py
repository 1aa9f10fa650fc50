"""Pages: a marker holds the place to go on behind, and is harmless when forged."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from bastide.kms import errors
from bastide.kms.model import Params

T = TypeVar("T")
LIMIT_DEFAULT = 100


def limit_of(req: Params, default: int = LIMIT_DEFAULT) -> int:
    return int(req.get("Limit") or default)


def after(req: Params) -> str:
    """The name seen last; "" at the beginning."""
    try:
        return base64.urlsafe_b64decode(req.get("Marker") or "").decode()
    except (ValueError, binascii.Error):
        raise errors.bad_marker() from None


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
        made["NextMarker"] = base64.urlsafe_b64encode(name(page[-1]).encode()).decode()
    return made

"""IAM's pages: `MaxItems` up to 1,000 and a `Marker`, which is the last item's own key. What the
caller has of it is sealed (`wire/page_tokens.py`), and has at most 320 letters."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeVar

T = TypeVar("T")
ITEMS_MAX = 1_000
ITEMS_DEFAULT = 100
PLACE_SIZE_MAX = 180  # a longer one would not fit into a Marker when it is sealed
HEAD_SIZE = 100
_CUT = "\0"  # in no key: how a longer one goes on is told by its digest


def page(
    items: Sequence[T], req: Mapping[str, Any], key: Callable[[T], str]
) -> tuple[Sequence[T], dict[str, Any]]:
    """The asked part of `items`, sorted by `key`, and the answer's other members."""
    size = min(int(req.get("MaxItems") or ITEMS_DEFAULT), ITEMS_MAX)
    after = req.get("Marker")
    rest = _behind(items, after, key) if after else items
    found = rest[:size]
    if len(rest) <= size:
        return found, {"IsTruncated": False}
    return found, {"IsTruncated": True, "Marker": _place(key(found[-1]))}


def _behind(items: Sequence[T], after: str, key: Callable[[T], str]) -> Sequence[T]:
    """Where what the place names is gone, some may be told again, and none is left out."""
    head, cut, _ = after.partition(_CUT)
    if cut:
        found = (number for number, item in enumerate(items, 1) if _place(key(item)) == after)
        if number := next(found, 0):
            return items[number:]
    return [item for item in items if key(item) > head]


def _place(key: str) -> str:
    raw = key.encode()
    if len(raw) <= PLACE_SIZE_MAX:
        return key
    return raw[:HEAD_SIZE].decode(errors="ignore") + _CUT + sha256(raw).hexdigest()

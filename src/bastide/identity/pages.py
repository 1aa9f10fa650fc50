"""IAM's pages: `MaxItems` up to 1,000 and a `Marker`, which is the last item's own key. What the
caller has of it is sealed (`wire/page_tokens.py`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
ITEMS_MAX = 1_000
ITEMS_DEFAULT = 100


def page(
    items: Sequence[T], req: Mapping[str, Any], key: Callable[[T], str]
) -> tuple[Sequence[T], dict[str, Any]]:
    """The asked part of `items`, sorted by `key`, and the answer's other members."""
    size = min(int(req.get("MaxItems") or ITEMS_DEFAULT), ITEMS_MAX)
    after = req.get("Marker")
    rest = [item for item in items if not after or key(item) > after]
    found = rest[:size]
    if len(rest) <= size:
        return found, {"IsTruncated": False}
    return found, {"IsTruncated": True, "Marker": key(found[-1])}

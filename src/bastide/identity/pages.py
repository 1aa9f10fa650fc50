"""IAM's pages: `MaxItems` up to 1,000 and a `Marker`, which is the last item's own key."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from bastide.kernel.errors import ServiceError

T = TypeVar("T")
ITEMS_MAX = 1_000
ITEMS_DEFAULT = 100


def page(
    items: Sequence[T], req: Mapping[str, Any], name: str, key: Callable[[T], str]
) -> tuple[Sequence[T], dict[str, Any]]:
    """The asked part of `items`, sorted by `key`, and the answer's other members."""
    size = min(int(req.get("MaxItems") or ITEMS_DEFAULT), ITEMS_MAX)
    after = _after(req.get("Marker"), name)
    rest = [item for item in items if after is None or key(item) > after]
    found = rest[:size]
    if len(rest) <= size:
        return found, {"IsTruncated": False}
    return found, {"IsTruncated": True, "Marker": _marker(name, key(found[-1]))}


def _marker(name: str, key: str) -> str:
    return base64.urlsafe_b64encode(f"{name}\n{key}".encode()).decode()


def _after(marker: str | None, name: str) -> str | None:
    if not marker:
        return None
    try:
        head, _, key = base64.urlsafe_b64decode(marker.encode()).decode().partition("\n")
    except (binascii.Error, ValueError):
        head, key = "", ""
    if head != name:
        raise ServiceError("ValidationError", "Invalid Marker.", status=400)
    return key

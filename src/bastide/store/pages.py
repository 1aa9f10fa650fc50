"""One page of a listing, with common prefixes found by skipping over them in the index."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from bastide.store.records import Span, after_prefix

PAGE_MAX = 1000
BATCH_FIRST = 200
BATCH_SKIPPED = 16  # behind a common prefix there is often just the next one


class Keyed(Protocol):
    @property
    def key(self) -> bytes: ...


R = TypeVar("R", bound=Keyed)
Fetch = Callable[[Span, "R | None", int], list[R]]
"""`fetch(span, within, limit)`: rows of the span in order, behind the row `within` if given."""


@dataclass(slots=True)
class Page(Generic[R]):
    items: list[R] = field(default_factory=list)
    prefixes: list[bytes] = field(default_factory=list)
    is_truncated: bool = False
    last: bytes = b""  # the last key or common prefix of the page

    def __len__(self) -> int:
        return len(self.items) + len(self.prefixes)


def span_after(prefix: bytes, delimiter: bytes, marker: bytes) -> Span | None:
    """What follows `marker`, a key or a common prefix; None when nothing can."""
    if marker and common_prefix(marker, prefix, delimiter) == marker:
        start = after_prefix(marker)
        return None if start is None else Span(prefix=prefix, start=start)
    return Span(prefix=prefix, after=marker)


def walk(fetch: Fetch[R], span: Span | None, delimiter: bytes, limit: int) -> Page[R]:
    page: Page[R] = Page()
    if limit == 0:
        return page
    within: R | None = None
    batch_size = BATCH_FIRST if delimiter else limit + 1
    while span is not None:
        rows = fetch(span, within, batch_size)
        if _take(page, rows, span.prefix, delimiter, limit) or len(rows) < batch_size:
            return page
        within = rows[-1]
        if page.prefixes and within.key.startswith(page.prefixes[-1]):
            start = after_prefix(page.prefixes[-1])
            span = None if start is None else replace(span, start=start, after=b"")
            within, batch_size = None, BATCH_SKIPPED
        elif delimiter:
            batch_size = BATCH_FIRST
    return page


def common_prefix(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    """`key` up to the first delimiter behind `prefix`."""
    if not delimiter or not key.startswith(prefix):
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def _take(page: Page[R], rows: list[R], prefix: bytes, delimiter: bytes, limit: int) -> bool:
    """Add rows to the page; True once it is full and there is more."""
    for row in rows:
        if page.prefixes and row.key.startswith(page.prefixes[-1]):
            continue
        if len(page) == limit:
            page.is_truncated = True
            return True
        common = common_prefix(row.key, prefix, delimiter)
        if common is None:
            page.items.append(row)
        else:
            page.prefixes.append(common)
        page.last = common or row.key
    return False

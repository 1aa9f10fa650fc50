"""Lists of models, of jobs and of throughputs: they are asked in the same words."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from bastide.kernel.clock import epoch_ms
from bastide.kernel.errors import invalid
from bastide.models.import_records import Wanted

Params = dict[str, Any]
LISTED = (
    "creationTimeAfter", "creationTimeBefore", "nameContains", "maxResults", "nextToken", "sortBy",
    "sortOrder",
)  # fmt: skip
PAGE_DEFAULT = 100


class Dated(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def created_ms(self) -> int: ...


Row = TypeVar("Row", bound=Dated)


def wanted_of(req: Params) -> Wanted:
    """One row more than is shown, which says that there is a next page."""
    after, before = req.get("creationTimeAfter"), req.get("creationTimeBefore")
    return Wanted(
        contains=req.get("nameContains") or "",
        status=req.get("statusEquals") or "",
        since_ms=None if after is None else epoch_ms(after),
        until_ms=None if before is None else epoch_ms(before),
        oldest_first=req.get("sortOrder") == "Ascending",
        after=_place(req.get("nextToken") or ""),
        limit=(req.get("maxResults") or PAGE_DEFAULT) + 1,
    )


def page(rows: Sequence[Row], wanted: Wanted) -> tuple[Sequence[Row], Params]:
    """What is shown, and what the answer says of the next page; the token is sealed where it
    leaves (`wire/page_tokens.py`)."""
    shown = rows[: wanted.limit - 1]
    if len(rows) < wanted.limit:
        return shown, {}
    return shown, {"nextToken": f"{shown[-1].created_ms}/{shown[-1].id}"}


def _place(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    at, _, id_ = token.partition("/")
    if not at.isdecimal() or not id_:
        raise invalid("The next token is invalid.")
    return int(at), id_

"""Lists as all of SageMaker's List operations take and answer them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table

from bastide.db.database import Database
from bastide.db.named import Listing, listed
from bastide.kernel.call import Call
from bastide.kernel.clock import epoch_ms
from bastide.kernel.labels.view import View
from bastide.logs import tokens

PAGE_DEFAULT = 10
_ORDER = {"Name": "name", "CreationTime": "created_ms", "Status": "status"}
_TIMES = {"CreationTime": "created_ms", "LastModifiedTime": "changed_ms"}


def page_of(
    database: Database, table: Table, view: View, call: Call, req: Mapping[str, Any]
) -> tuple[list[Any], str | None]:
    """Rows, and the token of the next page."""
    order = _ORDER[req.get("SortBy") or "CreationTime"]
    kind = int if order == "created_ms" else str
    beyond = tokens.load(req.get("NextToken"), kind, str, code="ValidationException")
    limit = req.get("MaxResults") or PAGE_DEFAULT
    asked = req.get("SortOrder")
    listing = Listing(
        order=order,
        descending=asked != "Ascending",
        limit=limit + 1,
        beyond=tuple(beyond) if beyond else None,
        status=req.get("StatusEquals"),
        name_part=req.get("NameContains"),
        bounds=[
            (column, side.lower(), epoch_ms(req[word + side]))
            for word, column in _TIMES.items()
            for side in ("After", "Before")
            if req.get(word + side) is not None
        ],
    )
    rows = database.read(lambda c: listed(c, table, call.account, listing, view))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], tokens.dump(getattr(last, order), last.name)

"""Rows that an account gives names, in tables with the columns `account`, `name`, `arn`, `label`
and `created_ms`: which one a session finds, and a page of them as SageMaker lists them: filtered,
sorted, gone on with.

Names are each label's own, so that what a session cannot see takes none. Of several of one name
that it sees, that of its own label is preferred, else the newest (`store/bucket_records.py`).

Whether a name is taken is asked by its ARN, which has lower letters only: tags and policies go by
that, so what differs in case alone is one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, exists, or_, select

from bastide.kernel.labels.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which page: `order` is a column, `beyond` the (value, name) seen last."""

    order: str
    descending: bool
    limit: int
    beyond: tuple[Any, str] | None = None
    status: str | None = None
    name_part: str | None = None
    bounds: Sequence[tuple[str, str, int]] = ()  # (column, "after" or "before", milliseconds)


def is_taken(c: Connection, table: Table, account: str, arn: str, label: str) -> bool:
    t = table.c
    mine = (t.account == account) & (t.arn == arn) & (t.label == label)
    return c.execute(select(t.name).where(mine).limit(1)).first() is not None


def found(c: Connection, table: Table, account: str, name: str, view: View) -> Row[Any] | None:
    """The row of that name that a session finds."""
    mine = (table.c.account == account) & (table.c.name == name)
    return _preferred(c.execute(select(table).where(mine)), view)


def label_of(c: Connection, table: Table, account: str, arn: str, view: View) -> str | None:
    """The marking of what a session finds by an ARN; None: nothing."""
    t = table.c
    asked = select(t.label, t.created_ms).where((t.account == account) & (t.arn == arn))
    row = _preferred(c.execute(asked), view)
    return None if row is None else str(row.label)


def labels_of(c: Connection, table: Table, account: str, arn: str) -> list[str]:
    """Of all that has an ARN, whoever may see it."""
    t = table.c
    return list(c.execute(select(t.label).where(t.account == account, t.arn == arn)).scalars())


def listed(c: Connection, table: Table, account: str, page: Listing, view: View) -> list[Row[Any]]:
    t = table.c
    mine = (t.account == account, t.label.in_(view.seen), ~hidden(table, view))
    asked = select(table).where(*mine, *_filters(table, page))
    by = t[page.order]
    if page.beyond is not None:
        value, name = page.beyond
        further = by < value if page.descending else by > value
        tie = t.name < name if page.descending else t.name > name
        asked = asked.where(or_(further, (by == value) & tie))
    order = (by.desc(), t.name.desc()) if page.descending else (by, t.name)
    return list(c.execute(asked.order_by(*order).limit(page.limit)))


def _preferred(rows: Iterable[Row[Any]], view: View) -> Row[Any] | None:
    seen = (row for row in rows if row.label in view.seen)
    order = lambda row: (row.label == view.own, row.created_ms, row.label)  # noqa: E731
    return max(seen, key=order, default=None)


def hidden(table: Table, view: View) -> ColumnElement[bool]:
    """Whether `_preferred` takes another row of the same name."""
    one, other = table.c, table.alias().c
    newer = and_(other.created_ms == one.created_ms, other.label > one.label)
    better = or_(
        other.label == view.own,
        and_(one.label != view.own, or_(other.created_ms > one.created_ms, newer)),
    )
    same = (other.account == one.account, other.name == one.name, other.label != one.label)
    return exists().where(*same, other.label.in_(view.seen), better).correlate(table)


def _filters(table: Table, page: Listing) -> list[ColumnElement[bool]]:
    t = table.c
    where: list[ColumnElement[bool]] = []
    if page.status:
        where.append(t.status == page.status)
    if page.name_part:
        where.append(t.name.contains(page.name_part, autoescape=True))
    for column, side, at_ms in page.bounds:
        where.append(t[column] > at_ms if side == "after" else t[column] < at_ms)
    return where

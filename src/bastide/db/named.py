"""Rows that an account gives names, in tables with the columns `account`, `name` and `arn`: whether
one is there, and a page of them as SageMaker lists them: filtered, sorted, gone on with.

Whether a name is taken is asked by its ARN, which has lower letters only: tags and policies go by
that, so what differs in case alone is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, or_, select


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


def exists(c: Connection, table: Table, account: str, arn: str) -> bool:
    mine = (table.c.account == account) & (table.c.arn == arn)
    return c.execute(select(table.c.name).where(mine).limit(1)).first() is not None


def listed(c: Connection, table: Table, account: str, page: Listing) -> list[Row[Any]]:
    t = table.c
    asked = select(table).where(t.account == account, *_filters(table, page))
    by = t[page.order]
    if page.beyond is not None:
        value, name = page.beyond
        further = by < value if page.descending else by > value
        tie = t.name < name if page.descending else t.name > name
        asked = asked.where(or_(further, (by == value) & tie))
    order = (by.desc(), t.name.desc()) if page.descending else (by, t.name)
    return list(c.execute(asked.order_by(*order).limit(page.limit)))


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

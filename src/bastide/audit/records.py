"""The log's tables, and all SQL about them.

`account`, `time_ms`, `closes` and `label` repeat what a record's body says, so that look-ups find
it. The one index on (account, time) keeps an append cheap: look-ups filter the rest as they read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
)

from bastide.db import metadata
from bastide.db.prepared import Prepared

_Position = BigInteger().with_variant(Integer(), "sqlite")  # SQLite's own row number

leaves = Table(
    "audit_leaves",
    metadata,
    Column("index", _Position, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("account", String(12), nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("closes", BigInteger),
    Column("label", Text),  # a call's; "" of what is no call's; NULL in what is older than labels
)
Index("ix_audit_leaves_account_time", leaves.c.account, leaves.c.time_ms, leaves.c.index)
Index(
    "ix_audit_leaves_closes",
    leaves.c.closes,
    sqlite_where=leaves.c.closes.is_not(None),
    postgresql_where=leaves.c.closes.is_not(None),
)

checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", _Position, primary_key=True, autoincrement=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
)

known_ends = Table(
    "audit_ends_known",
    metadata,
    Column("size", _Position, primary_key=True, autoincrement=False),
)

_add_leaf = Prepared(insert(leaves))
_add_checkpoint = insert(checkpoints)
_last_index = Prepared(select(func.max(leaves.c.index)))


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A signed checkpoint with the compact range that it was made from."""

    size: int
    note: str
    frontier: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One account's records of some labels to look through, the newest first; `before` is where
    to go on."""

    account: str
    since_ms: int
    until_ms: int
    labels: Sequence[str]
    unlabelled: bool  # whether what is older than labels is seen: all of it lay at the default
    first: int = 0  # what comes before was retired
    before: tuple[int, int] | None = None


def size(connection: Connection) -> int:
    last = _last_index.scalar(connection)
    return 0 if last is None else int(last) + 1


def add_leaves(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    _add_leaf.many(connection, rows)


def add_checkpoint(connection: Connection, row: CheckpointRow, time_ms: int) -> None:
    connection.execute(
        _add_checkpoint,
        {"size": row.size, "time_ms": time_ms, "frontier": row.frontier, "note": row.note},
    )


def last_checkpoint(connection: Connection, size_max: int | None = None) -> CheckpointRow | None:
    """The newest checkpoint, or the newest of at most `size_max` leaves."""
    query = select(checkpoints.c.size, checkpoints.c.note, checkpoints.c.frontier)
    if size_max is not None:
        query = query.where(checkpoints.c.size <= size_max)
    row = connection.execute(query.order_by(checkpoints.c.size.desc()).limit(1)).first()
    return None if row is None else CheckpointRow(row.size, row.note, bytes(row.frontier))


def next_checkpoint(connection: Connection, size_min: int) -> CheckpointRow | None:
    """The oldest checkpoint of at least `size_min` leaves."""
    query = select(checkpoints.c.size, checkpoints.c.note, checkpoints.c.frontier)
    query = query.where(checkpoints.c.size >= size_min).order_by(checkpoints.c.size).limit(1)
    row = connection.execute(query).first()
    return None if row is None else CheckpointRow(row.size, row.note, bytes(row.frontier))


def leaves_from(connection: Connection, first: int, limit: int) -> list[tuple[int, bytes, bytes]]:
    """(index, body, hash) in order, starting at `first`."""
    query = (
        select(leaves.c.index, leaves.c.body, leaves.c.hash)
        .where(leaves.c.index >= first)
        .order_by(leaves.c.index)
        .limit(limit)
    )
    return [(row[0], bytes(row[1]), bytes(row[2])) for row in connection.execute(query)]


def account_from(
    connection: Connection, span: Span, first: int, limit: int
) -> list[tuple[int, bytes]]:
    """(index, body) of an account's records in order, starting at `first`; of any time."""
    query = (
        select(leaves.c.index, leaves.c.body)
        .where(leaves.c.index >= first, leaves.c.account == span.account, _seen(span))
        .order_by(leaves.c.index)
        .limit(limit)
    )
    return [(row[0], bytes(row[1])) for row in connection.execute(query)]


def newest_first(connection: Connection, span: Span, limit: int) -> list[tuple[int, int, bytes]]:
    """(time_ms, index, body) of an account's records in a span of time."""
    time, index = leaves.c.time_ms, leaves.c.index
    query = select(time, index, leaves.c.body).where(
        leaves.c.account == span.account, time.between(span.since_ms, span.until_ms)
    )
    query = query.where(_seen(span), index >= span.first)
    if span.before is not None:
        at, position = span.before
        query = query.where(time <= at, or_(time < at, and_(time == at, index < position)))
    query = query.order_by(time.desc(), index.desc()).limit(limit)
    return [(row[0], row[1], bytes(row[2])) for row in connection.execute(query)]


def ends(connection: Connection, opened: Iterable[int]) -> dict[int, tuple[int, bytes]]:
    """The (index, body) of the records that close the given calls, by the call's index."""
    query = select(leaves.c.closes, leaves.c.index, leaves.c.body)
    query = query.where(leaves.c.closes.in_(list(opened)))
    return {row[0]: (row[1], bytes(row[2])) for row in connection.execute(query)}


def unclosed(connection: Connection, first: int, until: int, limit: int) -> list[tuple[int, bytes]]:
    """(index, body) of records about sessions' calls which neither are closed nor say what they
    close, in order. Retired ones carry no label any more."""
    closing = leaves.alias()
    closed = select(closing.c.index).where(closing.c.closes == leaves.c.index).exists()
    query = (
        select(leaves.c.index, leaves.c.body)
        .where(leaves.c.index >= first, leaves.c.index < until)
        .where(leaves.c.label != "", leaves.c.closes.is_(None), ~closed)
        .order_by(leaves.c.index)
        .limit(limit)
    )
    return [(row[0], bytes(row[1])) for row in connection.execute(query)]


def ends_known(connection: Connection) -> int:
    """Up to which record all calls have their end."""
    return int(connection.execute(select(func.max(known_ends.c.size))).scalar() or 0)


def set_ends_known(connection: Connection, size: int) -> None:
    connection.execute(delete(known_ends))
    connection.execute(insert(known_ends), {"size": size})


def _seen(span: Span) -> ColumnElement[bool]:
    seen = leaves.c.label.in_(span.labels)
    return or_(seen, leaves.c.label.is_(None)) if span.unlabelled else seen

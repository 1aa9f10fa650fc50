"""Log groups, streams and events. Every question names the account first."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from bastide.db.schema import metadata
from bastide.logs.model import EVENT_OVERHEAD, Event, Group, Span, Stream

DAY_MS = 24 * 3600 * 1000
_Id = BigInteger().with_variant(Integer(), "sqlite")

groups = Table(
    "log_groups",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("account", String(12), nullable=False),
    Column("name", String(512), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("retention_days", Integer),
    Column("stored_bytes", BigInteger, nullable=False, default=0),
    Column("tags", Text, nullable=False, default="{}"),
    UniqueConstraint("account", "name"),
)
streams = Table(
    "log_streams",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("group_id", BigInteger, nullable=False),
    Column("name", String(512), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("first_ms", BigInteger),
    Column("last_ms", BigInteger),
    Column("ingested_ms", BigInteger),
    UniqueConstraint("group_id", "name"),
)
events = Table(
    "log_events",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("stream_id", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("ingested_ms", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_log_events_order", "stream_id", "at_ms", "id"),
    sqlite_autoincrement=True,  # a page token must never name a second event
)


def find_group(c: Connection, account: str, name: str) -> Group | None:
    row = c.execute(
        select(groups).where(groups.c.account == account, groups.c.name == name)
    ).first()
    return None if row is None else _group(row)


def add_group(
    c: Connection, account: str, name: str, now_ms: int, tags: Mapping[str, str]
) -> Group | None:
    """The new group; None if the name is taken."""
    if find_group(c, account, name) is not None:
        return None
    c.execute(
        insert(groups).values(
            account=account, name=name, created_ms=now_ms, tags=json.dumps(dict(tags))
        )
    )
    return find_group(c, account, name)


def set_retention(c: Connection, group: Group, days: int | None) -> None:
    c.execute(update(groups).where(groups.c.id == group.id).values(retention_days=days))


def set_tags(c: Connection, group: Group, tags: Mapping[str, str]) -> None:
    c.execute(update(groups).where(groups.c.id == group.id).values(tags=json.dumps(dict(tags))))


def drop_group(c: Connection, group: Group) -> None:
    mine = select(streams.c.id).where(streams.c.group_id == group.id)
    c.execute(delete(events).where(events.c.stream_id.in_(mine)))
    c.execute(delete(streams).where(streams.c.group_id == group.id))
    c.execute(delete(groups).where(groups.c.id == group.id))


def list_groups(
    c: Connection, account: str, where: Sequence[ColumnElement[bool]], limit: int
) -> list[Group]:
    asked = select(groups).where(groups.c.account == account, *where)
    return [_group(row) for row in c.execute(asked.order_by(groups.c.name).limit(limit))]


def after_name(name: str) -> ColumnElement[bool]:
    return groups.c.name > name


def with_prefix(prefix: str) -> ColumnElement[bool]:
    return groups.c.name.startswith(prefix, autoescape=True)


def with_part(part: str) -> ColumnElement[bool]:
    return groups.c.name.contains(part, autoescape=True)


def find_stream(c: Connection, group: Group, name: str) -> Stream | None:
    row = c.execute(
        select(streams).where(streams.c.group_id == group.id, streams.c.name == name)
    ).first()
    return None if row is None else _stream(row)


def add_stream(c: Connection, group: Group, name: str, now_ms: int) -> Stream | None:
    """The new stream; None if the name is taken."""
    if find_stream(c, group, name) is not None:
        return None
    c.execute(insert(streams).values(group_id=group.id, name=name, created_ms=now_ms))
    return find_stream(c, group, name)


def drop_stream(c: Connection, stream: Stream) -> None:
    c.execute(delete(events).where(events.c.stream_id == stream.id))
    c.execute(delete(streams).where(streams.c.id == stream.id))


def streams_by_name(
    c: Connection, group: Group, prefix: str, beyond: str | None, descending: bool, limit: int
) -> list[Stream]:
    name = streams.c.name
    asked = select(streams).where(streams.c.group_id == group.id)
    if prefix:
        asked = asked.where(name.startswith(prefix, autoescape=True))
    if beyond is not None:
        asked = asked.where(name < beyond if descending else name > beyond)
    asked = asked.order_by(name.desc() if descending else name).limit(limit)
    return [_stream(row) for row in c.execute(asked)]


def streams_by_time(
    c: Connection, group: Group, beyond: tuple[int, str] | None, descending: bool, limit: int
) -> list[Stream]:
    """By the last event; a stream without one counts as oldest."""
    at, name = func.coalesce(streams.c.last_ms, 0), streams.c.name
    asked = select(streams).where(streams.c.group_id == group.id)
    if beyond is not None and descending:
        asked = asked.where(or_(at < beyond[0], and_(at == beyond[0], name < beyond[1])))
    elif beyond is not None:
        asked = asked.where(or_(at > beyond[0], and_(at == beyond[0], name > beyond[1])))
    order = (at.desc(), name.desc()) if descending else (at, name)
    return [_stream(row) for row in c.execute(asked.order_by(*order).limit(limit))]


def add_events(
    c: Connection, group: Group, stream: Stream, now_ms: int, lines: Sequence[tuple[int, str]]
) -> None:
    """Append lines, and drop what the group's retention no longer keeps of this stream."""
    if not lines:
        return
    c.execute(
        insert(events),
        [
            {"stream_id": stream.id, "at_ms": at, "ingested_ms": now_ms, "message": text}
            for at, text in lines
        ],
    )
    first, last = min(at for at, _ in lines), max(at for at, _ in lines)
    size = sum(len(text.encode()) + EVENT_OVERHEAD for _, text in lines)
    now = find_stream(c, group, stream.name) or stream
    c.execute(
        update(streams)
        .where(streams.c.id == stream.id)
        .values(
            first_ms=first if now.first_ms is None else min(first, now.first_ms),
            last_ms=last if now.last_ms is None else max(last, now.last_ms),
            ingested_ms=now_ms,
        )
    )
    grown = groups.c.stored_bytes + size
    c.execute(update(groups).where(groups.c.id == group.id).values(stored_bytes=grown))
    if group.retention_days is not None:
        oldest = now_ms - group.retention_days * DAY_MS
        c.execute(delete(events).where(events.c.stream_id == stream.id, events.c.at_ms < oldest))


def read_events(c: Connection, stream_ids: Sequence[int], span: Span) -> list[Event]:
    """In the span's direction; `beyond` is the `(at_ms, id)` that was seen last."""
    at, number = events.c.at_ms, events.c.id
    asked = select(events).where(
        events.c.stream_id.in_(stream_ids), at >= span.start_ms, at < span.end_ms
    )
    if span.beyond is not None and span.forward:
        asked = asked.where(
            or_(at > span.beyond[0], and_(at == span.beyond[0], number > span.beyond[1]))
        )
    elif span.beyond is not None:
        asked = asked.where(
            or_(at < span.beyond[0], and_(at == span.beyond[0], number < span.beyond[1]))
        )
    order = (at, number) if span.forward else (at.desc(), number.desc())
    rows = c.execute(asked.order_by(*order).limit(span.limit))
    return [
        Event(
            id=row.id,
            stream_id=row.stream_id,
            at_ms=row.at_ms,
            ingested_ms=row.ingested_ms,
            message=row.message,
        )
        for row in rows
    ]


def _group(row: Any) -> Group:
    return Group(
        id=row.id,
        name=row.name,
        created_ms=row.created_ms,
        retention_days=row.retention_days,
        stored_bytes=row.stored_bytes,
        tags=json.loads(row.tags),
    )


def _stream(row: Any) -> Stream:
    return Stream(
        id=row.id,
        name=row.name,
        created_ms=row.created_ms,
        first_ms=row.first_ms,
        last_ms=row.last_ms,
        ingested_ms=row.ingested_ms,
    )

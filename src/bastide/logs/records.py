"""Log groups, streams and events. Every question names the account and the labels that are seen.

Names are each label's own: of several of one name, that of the viewer's own label is found, else
the newest. An event has its stream's label.
"""

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
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from bastide.db.schema import metadata
from bastide.kernel.labels.view import View
from bastide.logs.model import EVENT_OVERHEAD, Event, Group, Span, Stream

DAY_MS = 24 * 3600 * 1000
_Id = BigInteger().with_variant(Integer(), "sqlite")

groups = Table(
    "log_groups",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("account", String(12), nullable=False),
    Column("name", String(512), nullable=False),
    Column("label", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("retention_days", Integer),
    Column("tags", Text, nullable=False, default="{}"),
    Index("ix_log_groups_name", "account", "name"),
)
streams = Table(
    "log_streams",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("group_id", BigInteger, nullable=False),
    Column("name", String(512), nullable=False),
    Column("label", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("first_ms", BigInteger),
    Column("last_ms", BigInteger),
    Column("ingested_ms", BigInteger),
    Column("stored_bytes", BigInteger, nullable=False, default=0),
    Column("next_seq", BigInteger, nullable=False, default=1),  # never goes back: tokens hold it
    Index("ix_log_streams_name", "group_id", "name"),
)
events = Table(
    "log_events",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("stream_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("ingested_ms", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_log_events_order", "stream_id", "at_ms", "seq"),
)


def find_group(c: Connection, account: str, name: str, view: View) -> Group | None:
    found = list_groups(c, account, [groups.c.name == name], 1, view)
    return found[0] if found else None


def labels_of(c: Connection, account: str, name: str) -> list[str]:
    """Of the groups of a name, whoever may see them."""
    mine = (groups.c.account == account) & (groups.c.name == name)
    return list(c.execute(select(groups.c.label).where(mine)).scalars())


def add_group(
    c: Connection, account: str, name: str, now_ms: int, tags: Mapping[str, str], view: View
) -> Group | None:
    """The new group, of its viewer's own label; None if it sees one of that name."""
    if find_group(c, account, name, view) is not None:
        return None
    row = {"account": account, "name": name, "label": view.own, "created_ms": now_ms}
    c.execute(insert(groups).values(**row, tags=json.dumps(dict(tags))))
    return find_group(c, account, name, view)


def set_retention(c: Connection, group: Group, days: int | None) -> None:
    c.execute(update(groups).where(groups.c.id == group.id).values(retention_days=days))


def set_tags(c: Connection, group: Group, tags: Mapping[str, str]) -> None:
    c.execute(update(groups).where(groups.c.id == group.id).values(tags=json.dumps(dict(tags))))


def drop_group(c: Connection, group: Group) -> None:
    """Forget a group with the streams that its viewer sees. Where others see streams in it, it
    goes on for them, at the least of their labels."""
    inside = streams.c.group_id == group.id
    mine = inside & streams.c.label.in_(group.view.seen)
    ids = select(streams.c.id).where(mine)
    c.execute(delete(events).where(events.c.stream_id.in_(ids)))
    c.execute(delete(streams).where(mine))
    hidden = [row[0] for row in c.execute(select(streams.c.label).where(inside).distinct())]
    if hidden:
        label = group.view.session.scheme.least(hidden).text
        c.execute(update(groups).where(groups.c.id == group.id).values(label=label))
    else:
        c.execute(delete(groups).where(groups.c.id == group.id))


def list_groups(
    c: Connection, account: str, where: Sequence[ColumnElement[bool]], limit: int, view: View
) -> list[Group]:
    best = _best_of(groups, [groups.c.account == account, *where], view)
    asked = select(groups).where(groups.c.id.in_(best)).order_by(groups.c.name).limit(limit)
    rows = c.execute(asked).all()
    sizes = _stored_bytes(c, [row.id for row in rows], view)
    return [_group(row, view, sizes.get(row.id, 0)) for row in rows]


def _best_of(table: Table, where: Sequence[ColumnElement[bool]], view: View) -> Any:
    """The ids of what is seen: of each name that of the viewer's own label, else the newest."""
    order = ((table.c.label == view.own).desc(), table.c.id.desc())
    rank = func.row_number().over(partition_by=table.c.name, order_by=order).label("rank")
    ranked = select(table.c.id, rank).where(table.c.label.in_(view.seen), *where).subquery()
    return select(ranked.c.id).where(ranked.c.rank == 1)


def _stored_bytes(c: Connection, group_ids: Sequence[int], view: View) -> dict[int, int]:
    """Of each group, what the streams that are seen hold."""
    asked = (
        select(streams.c.group_id, func.sum(streams.c.stored_bytes))
        .where(streams.c.group_id.in_(group_ids), streams.c.label.in_(view.seen))
        .group_by(streams.c.group_id)
    )
    return {row[0]: int(row[1]) for row in c.execute(asked)}


def after_name(name: str) -> ColumnElement[bool]:
    return groups.c.name > name


def with_prefix(prefix: str) -> ColumnElement[bool]:
    return groups.c.name.startswith(prefix, autoescape=True)


def with_part(part: str) -> ColumnElement[bool]:
    return groups.c.name.contains(part, autoescape=True)


def find_stream(c: Connection, group: Group, name: str) -> Stream | None:
    found = _streams(c, group, [streams.c.name == name], (), 1)
    return found[0] if found else None


def add_stream(c: Connection, group: Group, name: str, now_ms: int) -> Stream | None:
    """The new stream, of its viewer's own label; None if it sees one of that name."""
    if find_stream(c, group, name) is not None:
        return None
    return put_stream(c, group, name, now_ms)


def put_stream(c: Connection, group: Group, name: str, now_ms: int) -> Stream:
    """The stream of that name and of the viewer's own label, made if it is not there."""
    found = find_stream(c, group, name)
    if found is None or found.label != group.view.own:
        row = {"group_id": group.id, "name": name, "label": group.view.own, "created_ms": now_ms}
        c.execute(insert(streams).values(**row))
        found = find_stream(c, group, name)
    assert found is not None
    return found


def drop_stream(c: Connection, stream: Stream) -> None:
    c.execute(delete(events).where(events.c.stream_id == stream.id))
    c.execute(delete(streams).where(streams.c.id == stream.id))


def streams_by_name(
    c: Connection, group: Group, prefix: str, beyond: str | None, descending: bool, limit: int
) -> list[Stream]:
    name, where = streams.c.name, []
    if prefix:
        where.append(name.startswith(prefix, autoescape=True))
    if beyond is not None:
        where.append(name < beyond if descending else name > beyond)
    return _streams(c, group, where, (name.desc() if descending else name,), limit)


def streams_by_time(
    c: Connection, group: Group, beyond: tuple[int, str] | None, descending: bool, limit: int
) -> list[Stream]:
    """By the last event; a stream without one counts as oldest."""
    at, name, rest = func.coalesce(streams.c.last_ms, 0), streams.c.name, []
    if beyond is not None and descending:
        rest.append(or_(at < beyond[0], and_(at == beyond[0], name < beyond[1])))
    elif beyond is not None:
        rest.append(or_(at > beyond[0], and_(at == beyond[0], name > beyond[1])))
    order = (at.desc(), name.desc()) if descending else (at, name)
    return _streams(c, group, (), order, limit, rest)


def _streams(
    c: Connection,
    group: Group,
    named: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
    limit: int,
    rest: Sequence[ColumnElement[bool]] = (),
) -> list[Stream]:
    """`named` says which names, `rest` which of what is found under them."""
    best = _best_of(streams, [streams.c.group_id == group.id, *named], group.view)
    asked = select(streams).where(streams.c.id.in_(best), *rest)
    return [_stream(row) for row in c.execute(asked.order_by(*order).limit(limit))]


def add_events(
    c: Connection, group: Group, stream: Stream, now_ms: int, lines: Sequence[tuple[int, str]]
) -> None:
    """Append lines, and drop what the group's retention no longer keeps of this stream."""
    if not lines:
        return
    mine = streams.c.id == stream.id
    now = c.execute(select(streams).where(mine)).one()
    added = [
        {"stream_id": now.id, "seq": n, "at_ms": at, "ingested_ms": now_ms, "message": text}
        for n, (at, text) in enumerate(lines, now.next_seq)
    ]
    c.execute(insert(events), added)
    first, last = min(at for at, _ in lines), max(at for at, _ in lines)
    size = sum(len(text.encode()) + EVENT_OVERHEAD for _, text in lines)
    changes = {
        "first_ms": first if now.first_ms is None else min(first, now.first_ms),
        "last_ms": last if now.last_ms is None else max(last, now.last_ms),
        "ingested_ms": now_ms,
        "stored_bytes": now.stored_bytes + size,
        "next_seq": now.next_seq + len(lines),
    }
    c.execute(update(streams).where(mine).values(**changes))
    if group.retention_days is not None:
        oldest = now_ms - group.retention_days * DAY_MS
        c.execute(delete(events).where(events.c.stream_id == stream.id, events.c.at_ms < oldest))


def read_events(c: Connection, stream_ids: Sequence[int], span: Span) -> list[Event]:
    """In the span's direction."""
    order = (events.c.at_ms, events.c.seq, events.c.stream_id)
    asked = select(events).where(
        events.c.stream_id.in_(stream_ids),
        events.c.at_ms >= span.start_ms,
        events.c.at_ms < span.end_ms,
    )
    if span.beyond is not None:
        place = tuple_(*order)
        beyond = place > span.beyond if span.forward else place < span.beyond
        asked = asked.where(beyond)
    by = order if span.forward else [column.desc() for column in order]
    return [
        Event(
            stream_id=row.stream_id,
            seq=row.seq,
            at_ms=row.at_ms,
            ingested_ms=row.ingested_ms,
            message=row.message,
        )
        for row in c.execute(asked.order_by(*by).limit(span.limit))
    ]


def _group(row: Any, view: View, stored_bytes: int) -> Group:
    return Group(
        id=row.id,
        name=row.name,
        label=row.label,
        view=view,
        created_ms=row.created_ms,
        retention_days=row.retention_days,
        stored_bytes=stored_bytes,
        tags=json.loads(row.tags),
    )


def _stream(row: Any) -> Stream:
    return Stream(
        id=row.id,
        name=row.name,
        label=row.label,
        created_ms=row.created_ms,
        first_ms=row.first_ms,
        last_ms=row.last_ms,
        ingested_ms=row.ingested_ms,
    )

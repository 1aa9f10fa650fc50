"""Trails and the files that wait for a digest. All SQL about them.

Names are each label's own, as those of buckets are (`store/bucket_records.py`).
"""

from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Row,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from bastide.db import metadata
from bastide.evidence.model import Link, LogFile, Trail
from bastide.kernel.labels.view import View

trails = Table(
    "trails",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("label", String(1024), primary_key=True),
    Column("bucket", String(63), nullable=False),
    Column("prefix", String(200), nullable=False),
    Column("has_digests", Boolean, nullable=False),
    Column("logging", Boolean, nullable=False),
    Column("next_index", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("stopped_ms", BigInteger),
    Column("delivered_ms", BigInteger),
    Column("error", Text, nullable=False),
    Column("digest_from_ms", BigInteger, nullable=False),
    Column("digest_ms", BigInteger),
    Column("digest_error", Text, nullable=False),
    Column("last_key", Text),
    Column("last_hash", String(64)),
    Column("last_signature", Text),
)
files = Table(
    "trail_files",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("trail", String(128), primary_key=True),
    Column("label", String(1024), primary_key=True),
    Column("key", String(1024), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("oldest_ms", BigInteger, nullable=False),
    Column("newest_ms", BigInteger, nullable=False),
)


def find(c: Connection, account: str, name: str, view: View) -> Trail | None:
    """Of the trails of that name that a session sees, that of its own label first."""
    named = (trails.c.account == account) & (trails.c.name == name)
    query = select(trails).where(named, trails.c.label.in_(view.seen))
    found = [_trail(row) for row in c.execute(query)]
    return max(found, key=lambda trail: (trail.label == view.own, trail.label), default=None)


def labels_of(c: Connection, account: str, name: str) -> list[str]:
    """Of the trails of a name, whoever may see them."""
    mine = (trails.c.account == account) & (trails.c.name == name)
    return list(c.execute(select(trails.c.label).where(mine)).scalars())


def now(c: Connection, trail: Trail) -> Trail | None:
    """The trail as it is now, if it is still there."""
    row = c.execute(select(trails).where(_is(trail))).first()
    return None if row is None else _trail(row)


def of_account(c: Connection, account: str, view: View) -> list[Trail]:
    """Those that a session sees."""
    query = select(trails).where(trails.c.account == account, trails.c.label.in_(view.seen))
    return [_trail(row) for row in c.execute(query.order_by(trails.c.name, trails.c.label))]


def that_log(c: Connection) -> list[Trail]:
    query = select(trails).where(trails.c.logging).order_by(trails.c.account, trails.c.name)
    return [_trail(row) for row in c.execute(query)]


def add(c: Connection, trail: Trail) -> bool:
    """False if the name is taken."""
    if now(c, trail) is not None:
        return False
    c.execute(insert(trails).values(**_values(trail)))
    return True


def save(c: Connection, trail: Trail) -> None:
    c.execute(update(trails).where(_is(trail)).values(**_values(trail)))


def drop(c: Connection, trail: Trail) -> None:
    c.execute(delete(trails).where(_is(trail)))
    c.execute(delete(files).where(_of(trail)))


def add_file(c: Connection, trail: Trail, file: LogFile) -> None:
    of = {"account": trail.account, "trail": trail.name, "label": trail.label}
    c.execute(insert(files).values(**of, **asdict(file)))


def waiting(c: Connection, trail: Trail) -> list[LogFile]:
    query = select(files).where(_of(trail)).order_by(files.c.oldest_ms, files.c.key)
    return [
        LogFile(key=row.key, hash=row.hash, oldest_ms=row.oldest_ms, newest_ms=row.newest_ms)
        for row in c.execute(query)
    ]


def digested(c: Connection, trail: Trail, done: list[LogFile]) -> None:
    for file in done:
        c.execute(delete(files).where(_of(trail), files.c.key == file.key))


def _is(trail: Trail) -> Any:
    t = trails.c
    return (t.account == trail.account) & (t.name == trail.name) & (t.label == trail.label)


def _of(trail: Trail) -> Any:
    f = files.c
    return (f.account == trail.account) & (f.trail == trail.name) & (f.label == trail.label)


def _values(trail: Trail) -> dict[str, Any]:
    values = asdict(trail)
    last = values.pop("last") or {}
    return {**values, **{f"last_{name}": last.get(name) for name in ("key", "hash", "signature")}}


def _trail(row: Row[Any]) -> Trail:
    values = dict(row._mapping)
    key, digest, signature = (values.pop(f"last_{each}") for each in ("key", "hash", "signature"))
    last = None if key is None else Link(key, digest, signature)
    return Trail(**values, last=last)

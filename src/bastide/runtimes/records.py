"""Runtimes, versions, endpoints and sessions. The account is named first; what is above a session
is not among what `seen` names. A version is sealed: its environment variables are secrets."""

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from bastide.db.schema import metadata
from bastide.runtimes.model import Endpoint, Runtime, SessionKey

runtimes = Table(
    "agent_runtimes",
    metadata,
    Column("account", String(12), nullable=False),
    Column("id", String(64), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("name", String(48), nullable=False),
    Column("latest", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("tags", Text, nullable=False),
    PrimaryKeyConstraint("account", "id"),
    Index("ix_agent_runtimes_name", "account", "name"),
)
versions = Table(
    "agent_runtime_versions",
    metadata,
    Column("account", String(12), nullable=False),
    Column("runtime_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("label", String(1024), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("definition", LargeBinary, nullable=False),
    PrimaryKeyConstraint("account", "runtime_id", "number"),
)
endpoints = Table(
    "agent_runtime_endpoints",
    metadata,
    Column("account", String(12), nullable=False),
    Column("runtime_id", String(64), nullable=False),
    Column("name", String(48), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("id", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("description", String(256), nullable=False),
    Column("tags", Text, nullable=False),
    PrimaryKeyConstraint("account", "runtime_id", "name"),
)
sessions = Table(
    "agent_runtime_sessions",
    metadata,
    Column("account", String(12), nullable=False),
    Column("runtime_id", String(64), nullable=False),
    Column("endpoint", String(48), nullable=False),
    Column("id", String(256), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("version", Integer, nullable=False),
    Column("job_id", String(256), nullable=False, unique=True),
    Column("token", LargeBinary, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "runtime_id", "endpoint", "id", "label"),
)
T = TypeVar("T", Runtime, Endpoint)


def find(c: Connection, account: str, runtime_id: str, seen: Sequence[str]) -> Runtime | None:
    t = runtimes.c
    mine = (t.account == account, t.id == runtime_id, t.label.in_(seen))
    row = c.execute(select(runtimes).where(*mine)).first()
    return None if row is None else _runtime(row)


def has_name(c: Connection, account: str, name: str, label: str) -> bool:
    """Names are each label's own."""
    t = runtimes.c
    mine = (t.account == account, t.name == name, t.label == label)
    return c.execute(select(t.id).where(*mine).limit(1)).first() is not None


def count(c: Connection, account: str, label: str) -> int:
    t = runtimes.c
    asked = select(func.count()).select_from(runtimes)
    return c.execute(asked.where(t.account == account, t.label == label)).scalar_one()


def page(c: Connection, account: str, seen: Sequence[str], after: str, limit: int) -> list[Runtime]:
    t = runtimes.c
    asked = select(runtimes).where(t.account == account, t.label.in_(seen), t.id > after)
    return [_runtime(row) for row in c.execute(asked.order_by(t.id).limit(limit))]


def put(c: Connection, runtime: Runtime) -> None:
    """As it is now: made, or saved again."""
    _put(c, runtimes, runtime, runtimes.c.id == runtime.id)


def drop(c: Connection, runtime: Runtime) -> None:
    """The runtime and all that is its own, but the sessions, which end first."""
    for table in (versions, endpoints):
        mine = (table.c.account == runtime.account, table.c.runtime_id == runtime.id)
        c.execute(delete(table).where(*mine))
    t = runtimes.c
    c.execute(delete(runtimes).where(t.account == runtime.account, t.id == runtime.id))


def add_version(c: Connection, values: dict[str, Any]) -> None:
    c.execute(insert(versions).values(**values))


def version(c: Connection, account: str, runtime_id: str, number: int) -> Row[Any] | None:
    t = versions.c
    mine = (t.account == account, t.runtime_id == runtime_id, t.number == number)
    return c.execute(select(versions).where(*mine)).first()


def version_page(
    c: Connection, account: str, runtime_id: str, before: int, limit: int
) -> list[Row[Any]]:
    """The newest first."""
    t = versions.c
    mine = (t.account == account, t.runtime_id == runtime_id, t.number < before)
    asked = select(versions).where(*mine).order_by(t.number.desc()).limit(limit)
    return list(c.execute(asked))


def endpoint(c: Connection, account: str, runtime_id: str, name: str) -> Endpoint | None:
    t = endpoints.c
    mine = (t.account == account, t.runtime_id == runtime_id, t.name == name)
    row = c.execute(select(endpoints).where(*mine)).first()
    return None if row is None else _endpoint(row)


def endpoints_of(c: Connection, account: str, runtime_id: str) -> list[Endpoint]:
    """They have its label; the runtime was found first."""
    t = endpoints.c
    asked = select(endpoints).where(t.account == account, t.runtime_id == runtime_id)
    return [_endpoint(row) for row in c.execute(asked.order_by(t.name))]


def put_endpoint(c: Connection, new: Endpoint) -> None:
    t = endpoints.c
    _put(c, endpoints, new, (t.runtime_id == new.runtime_id) & (t.name == new.name))


def drop_endpoint(c: Connection, gone: Endpoint) -> None:
    t = endpoints.c
    mine = (t.account == gone.account, t.runtime_id == gone.runtime_id, t.name == gone.name)
    c.execute(delete(endpoints).where(*mine))


def session(c: Connection, key: SessionKey) -> Row[Any] | None:
    return c.execute(select(sessions).where(*_of_key(key))).first()


def session_of_job(c: Connection, job_id: str) -> Row[Any] | None:
    return c.execute(select(sessions).where(sessions.c.job_id == job_id)).first()


def all_sessions(c: Connection) -> list[Row[Any]]:
    """Of all agencies: for the region itself, at its start."""
    return list(c.execute(select(sessions)))


def sessions_of(
    c: Connection, account: str, runtime_id: str, endpoint: str | None = None
) -> list[Row[Any]]:
    """At every label: those end with their runtime or endpoint, and nobody is told of them."""
    t = sessions.c
    asked = select(sessions).where(t.account == account, t.runtime_id == runtime_id)
    return list(c.execute(asked if endpoint is None else asked.where(t.endpoint == endpoint)))


def count_sessions(c: Connection, account: str, label: str) -> int:
    t = sessions.c
    asked = select(func.count()).select_from(sessions)
    return c.execute(asked.where(t.account == account, t.label == label)).scalar_one()


def add_session(c: Connection, values: dict[str, Any]) -> None:
    c.execute(insert(sessions).values(**values))


def drop_session(c: Connection, job_id: str) -> None:
    """By its job: a session of that name that was begun since is another."""
    c.execute(delete(sessions).where(sessions.c.job_id == job_id))


def _of_key(key: SessionKey) -> tuple[ColumnElement[bool], ...]:
    t = sessions.c
    return (
        t.account == key.account, t.runtime_id == key.runtime_id, t.endpoint == key.endpoint,
        t.id == key.id, t.label == key.label,
    )  # fmt: skip


def _put(c: Connection, table: Table, row: T, mine: ColumnElement[bool]) -> None:
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    values["tags"] = json.dumps(dict(row.tags))
    own = (table.c.account == row.account) & mine
    if not c.execute(update(table).where(own).values(**values)).rowcount:
        c.execute(insert(table).values(**values))


def _read(row: Row[Any]) -> dict[str, Any]:
    values: dict[str, Any] = dict(row._mapping)
    return {**values, "tags": json.loads(values["tags"])}


def _runtime(row: Row[Any]) -> Runtime:
    return Runtime(**_read(row))


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(**_read(row))

"""Agents, their parts, versions and aliases. The account is named first; what is above a session
is not among what `seen` names."""

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

from bastide.agents.model import Agent, Alias, Part, PartRow, Status, Version
from bastide.db.schema import metadata

agents = Table(
    "bedrock_agents",
    metadata,
    Column("account", String(12), nullable=False),
    Column("id", String(10), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("name", String(256), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("prepared_ms", BigInteger, nullable=False),
    Column("latest", Integer, nullable=False),
    Column("asked", Text, nullable=False),
    Column("failures", Text, nullable=False),
    Column("prepared", Text, nullable=False),
    Column("tags", Text, nullable=False, server_default="{}"),
    PrimaryKeyConstraint("account", "id"),
    Index("ix_bedrock_agents_name", "account", "name"),
)
parts = Table(
    "bedrock_agent_parts",
    metadata,
    Column("account", String(12), nullable=False),
    Column("agent_id", String(10), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("id", String(10), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("name", String(256), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("asked", Text, nullable=False),
    PrimaryKeyConstraint("account", "agent_id", "kind", "id"),
)
versions = Table(
    "bedrock_agent_versions",
    metadata,
    Column("account", String(12), nullable=False),
    Column("agent_id", String(10), nullable=False),
    Column("number", Integer, nullable=False),
    Column("label", String(1024), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("definition", Text, nullable=False),
    PrimaryKeyConstraint("account", "agent_id", "number"),
)
aliases = Table(
    "bedrock_agent_aliases",
    metadata,
    Column("account", String(12), nullable=False),
    Column("agent_id", String(10), nullable=False),
    Column("id", String(10), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("name", String(256), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("version", String(5), nullable=False),
    Column("asked", Text, nullable=False),
    Column("history", Text, nullable=False),
    Column("tags", Text, nullable=False, server_default="{}"),
    PrimaryKeyConstraint("account", "agent_id", "id"),
)
_JSON = frozenset({"asked", "failures", "prepared", "definition", "history", "tags"})
T = TypeVar("T", Agent, PartRow, Version, Alias)


def find(c: Connection, account: str, agent_id: str, seen: Sequence[str]) -> Agent | None:
    t = agents.c
    mine = (t.account == account, t.id == agent_id, t.label.in_(seen))
    row = c.execute(select(agents).where(*mine)).first()
    return None if row is None else _agent(row)


def named(c: Connection, account: str, name: str, label: str) -> Agent | None:
    """Names are each label's own."""
    t = agents.c
    mine = (t.account == account, t.name == name, t.label == label)
    row = c.execute(select(agents).where(*mine)).first()
    return None if row is None else _agent(row)


def count(c: Connection, account: str, label: str) -> int:
    t = agents.c
    asked = select(func.count()).select_from(agents)
    return c.execute(asked.where(t.account == account, t.label == label)).scalar_one()


def page(c: Connection, account: str, seen: Sequence[str], after: str, limit: int) -> list[Agent]:
    t = agents.c
    asked = select(agents).where(t.account == account, t.label.in_(seen), t.id > after)
    return [_agent(row) for row in c.execute(asked.order_by(t.id).limit(limit))]


def put(c: Connection, agent: Agent) -> None:
    """As it is now: made, or saved again."""
    _put(c, agents, agent, agents.c.id == agent.id)


def drop(c: Connection, agent: Agent) -> None:
    """The agent and all that is its own."""
    for table in (parts, versions, aliases):
        mine = (table.c.account == agent.account, table.c.agent_id == agent.id)
        c.execute(delete(table).where(*mine))
    c.execute(delete(agents).where(agents.c.account == agent.account, agents.c.id == agent.id))


def parts_of(c: Connection, account: str, agent_id: str) -> list[PartRow]:
    """Of the draft. They have its label; the agent was found first."""
    t = parts.c
    asked = select(parts).where(t.account == account, t.agent_id == agent_id)
    return [_part(row) for row in c.execute(asked.order_by(t.kind, t.created_ms, t.id))]


def put_part(c: Connection, part: PartRow) -> None:
    t = parts.c
    _put(c, parts, part, (t.agent_id == part.agent_id) & (t.kind == part.kind) & (t.id == part.id))


def drop_part(c: Connection, part: PartRow) -> None:
    t = parts.c
    mine = (t.account == part.account, t.agent_id == part.agent_id, t.kind == part.kind)
    c.execute(delete(parts).where(*mine, t.id == part.id))


def add_version(c: Connection, version: Version) -> None:
    c.execute(insert(versions).values(**_values(version)))


def version(c: Connection, account: str, agent_id: str, number: int) -> Version | None:
    row = c.execute(select(versions).where(*_numbered(account, agent_id, number))).first()
    return None if row is None else _version(row)


def versions_of(c: Connection, account: str, agent_id: str) -> list[Version]:
    t = versions.c
    asked = select(versions).where(t.account == account, t.agent_id == agent_id)
    return [_version(row) for row in c.execute(asked.order_by(t.number.desc()))]


def drop_version(c: Connection, gone: Version) -> None:
    c.execute(delete(versions).where(*_numbered(gone.account, gone.agent_id, gone.number)))


def alias(c: Connection, account: str, agent_id: str, alias_id: str) -> Alias | None:
    t = aliases.c
    mine = (t.account == account, t.agent_id == agent_id, t.id == alias_id)
    row = c.execute(select(aliases).where(*mine)).first()
    return None if row is None else _alias(row)


def aliases_of(c: Connection, account: str, agent_id: str) -> list[Alias]:
    t = aliases.c
    asked = select(aliases).where(t.account == account, t.agent_id == agent_id)
    return [_alias(row) for row in c.execute(asked.order_by(t.id))]


def put_alias(c: Connection, new: Alias) -> None:
    t = aliases.c
    _put(c, aliases, new, (t.agent_id == new.agent_id) & (t.id == new.id))


def drop_alias(c: Connection, gone: Alias) -> None:
    t = aliases.c
    mine = (t.account == gone.account, t.agent_id == gone.agent_id, t.id == gone.id)
    c.execute(delete(aliases).where(*mine))


def _numbered(account: str, agent_id: str, number: int) -> tuple[ColumnElement[bool], ...]:
    t = versions.c
    return t.account == account, t.agent_id == agent_id, t.number == number


def _put(c: Connection, table: Table, row: T, mine: ColumnElement[bool]) -> None:
    values, own = _values(row), (table.c.account == row.account) & mine
    if not c.execute(update(table).where(own).values(**values)).rowcount:
        c.execute(insert(table).values(**values))


def _values(row: T) -> dict[str, Any]:
    given = {field.name: getattr(row, field.name) for field in fields(row)}
    return {name: json.dumps(value) if name in _JSON else value for name, value in given.items()}


def _read(row: Row[Any]) -> dict[str, Any]:
    values: dict[str, Any] = dict(row._mapping)
    return {name: json.loads(value) if name in _JSON else value for name, value in values.items()}


def _agent(row: Row[Any]) -> Agent:
    found = _read(row)
    return Agent(**{**found, "status": Status(found["status"])})


def _part(row: Row[Any]) -> PartRow:
    found = _read(row)
    return PartRow(**{**found, "kind": Part(found["kind"])})


def _version(row: Row[Any]) -> Version:
    return Version(**_read(row))


def _alias(row: Row[Any]) -> Alias:
    return Alias(**_read(row))

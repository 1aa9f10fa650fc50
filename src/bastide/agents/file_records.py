"""The files of conversations, sealed: as long-lived as the conversation that they belong to."""

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from bastide.agents.session_records import Key
from bastide.db.schema import metadata

files = Table(
    "bedrock_agent_files",
    metadata,
    Column("account", String(12), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("agent_id", String(10), nullable=False),
    Column("alias_id", String(10), nullable=False),
    Column("id", String(100), nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("account", "label", "agent_id", "alias_id", "id"),
    Index("ix_bedrock_agent_files_expires_ms", "expires_ms"),
)


def find(c: Connection, key: Key, now_ms: int) -> bytes | None:
    asked = select(files.c.sealed).where(*_mine(key), files.c.expires_ms > now_ms)
    found = c.execute(asked).scalar()
    return None if found is None else bytes(found)


def put(c: Connection, key: Key, expires_ms: int, sealed: bytes) -> None:
    drop(c, key)
    c.execute(insert(files).values(**key.values, expires_ms=expires_ms, sealed=sealed))


def drop(c: Connection, key: Key) -> None:
    c.execute(delete(files).where(*_mine(key)))


def drop_expired(c: Connection, now_ms: int) -> None:
    c.execute(delete(files).where(files.c.expires_ms <= now_ms))


def drop_of_agent(c: Connection, account: str, agent_id: str) -> None:
    """Of every label: the agent is gone."""
    t = files.c
    c.execute(delete(files).where(t.account == account, t.agent_id == agent_id))


def touch(c: Connection, key: Key, expires_ms: int) -> None:
    """They last as long as their conversation goes on."""
    c.execute(update(files).where(*_mine(key)).values(expires_ms=expires_ms))


def _mine(key: Key) -> tuple[ColumnElement[bool], ...]:
    return tuple(files.c[name] == value for name, value in key.values.items())

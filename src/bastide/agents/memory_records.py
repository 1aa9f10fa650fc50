"""What agents keep of sessions that have ended, sealed: a summary of each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    func,
    insert,
    select,
)

from bastide.db.schema import metadata

memories = Table(
    "bedrock_agent_memories",
    metadata,
    Column("account", String(12), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("agent_id", String(10), nullable=False),
    Column("alias_id", String(10), nullable=False),
    Column("memory_id", String(100), nullable=False),
    Column("session_id", String(100), nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("account", "label", "agent_id", "alias_id", "memory_id", "session_id"),
    Index("ix_bedrock_agent_memories_expires_ms", "expires_ms"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryKey:
    """Whose memory: the caller chooses `id`, its agency's policies who may choose which agent."""

    account: str
    agent_id: str
    alias_id: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRow:
    label: str
    session_id: str
    ended_ms: int
    expires_ms: int
    sealed: bytes

    def aad(self, key: MemoryKey) -> bytes:
        parts = (key.account, self.label, key.agent_id, key.alias_id, key.id, self.session_id)
        return "\n".join(parts).encode()


def put(c: Connection, key: MemoryKey, row: MemoryRow) -> None:
    """In place of what was kept of a session of the same id."""
    t = memories.c
    c.execute(delete(memories).where(*_of(key), t.label == row.label, _session(row.session_id)))
    c.execute(insert(memories).values(**_values(key), **_row(row)))


def newest(
    c: Connection, key: MemoryKey, seen: Collection[str], now_ms: int, limit: int
) -> Sequence[MemoryRow]:
    """Of what the labels `seen` hold, the newest first."""
    t = memories.c
    asked = (
        select(t.label, t.session_id, t.ended_ms, t.expires_ms, t.sealed)
        .where(*_of(key), t.label.in_(seen), t.expires_ms > now_ms)
        .order_by(t.ended_ms.desc(), t.label, t.session_id)
        .limit(limit)
    )
    return [MemoryRow(**row._mapping) for row in c.execute(asked)]


def drop(c: Connection, key: MemoryKey, label: str, session_id: str) -> None:
    """All of it at that label; of one session, if one is named. "" names every memory."""
    t = memories.c
    one = [_session(session_id)] if session_id else []
    mine = [t[name] == value for name, value in _values(key).items() if value]
    c.execute(delete(memories).where(*mine, t.label == label, *one))


def drop_expired(c: Connection, now_ms: int) -> None:
    c.execute(delete(memories).where(memories.c.expires_ms <= now_ms))


def drop_of_agent(c: Connection, account: str, agent_id: str) -> None:
    """Of every label: the agent is gone."""
    t = memories.c
    c.execute(delete(memories).where(t.account == account, t.agent_id == agent_id))


def count(c: Connection, account: str, label: str) -> int:
    t = memories.c
    asked = select(func.count()).select_from(memories)
    return c.execute(asked.where(t.account == account, t.label == label)).scalar_one()


def _of(key: MemoryKey) -> tuple[ColumnElement[bool], ...]:
    return tuple(memories.c[name] == value for name, value in _values(key).items())


def _session(session_id: str) -> ColumnElement[bool]:
    return memories.c.session_id == session_id


def _values(key: MemoryKey) -> Mapping[str, Any]:
    return {
        "account": key.account, "agent_id": key.agent_id, "alias_id": key.alias_id,
        "memory_id": key.id,
    }  # fmt: skip


def _row(row: MemoryRow) -> Mapping[str, Any]:
    return {
        "label": row.label, "session_id": row.session_id, "ended_ms": row.ended_ms,
        "expires_ms": row.expires_ms, "sealed": row.sealed,
    }  # fmt: skip

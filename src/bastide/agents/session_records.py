"""Conversations, sealed: each is of one agency, one label, one agent's alias and one session id."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from bastide.db.schema import metadata

sessions = Table(
    "bedrock_agent_sessions",
    metadata,
    Column("account", String(12), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("agent_id", String(10), nullable=False),
    Column("alias_id", String(10), nullable=False),
    Column("id", String(100), nullable=False),
    Column("turn", Integer, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("account", "label", "agent_id", "alias_id", "id"),
    Index("ix_bedrock_agent_sessions_expires_ms", "expires_ms"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Whose conversation. Whoever has another of any of these has another conversation."""

    account: str
    label: str
    agent_id: str
    alias_id: str
    id: str

    @property
    def aad(self) -> bytes:
        parts = (self.account, self.label, self.agent_id, self.alias_id, self.id)
        return "\n".join(parts).encode()

    @property
    def values(self) -> Mapping[str, Any]:
        return {
            "account": self.account, "label": self.label, "agent_id": self.agent_id,
            "alias_id": self.alias_id, "id": self.id,
        }  # fmt: skip


def find(c: Connection, key: Key, now_ms: int) -> tuple[int, bytes] | None:
    """Which turn it is at, and what was said. What is past its time is not there."""
    t = sessions.c
    asked = select(t.turn, t.sealed).where(*_mine(key), t.expires_ms > now_ms)
    row = c.execute(asked).first()
    return None if row is None else (row.turn, row.sealed)


def save(c: Connection, key: Key, before: int, expires_ms: int, sealed: bytes) -> bool:
    """The next turn; False if it is not at `before` any more (0: it was not there)."""
    if before == 0:
        drop(c, key)  # one past its time
        row = {**key.values, "turn": 1, "expires_ms": expires_ms, "sealed": sealed}
        c.execute(insert(sessions).values(**row))
        return True
    new = {"turn": before + 1, "expires_ms": expires_ms, "sealed": sealed}
    mine = (*_mine(key), sessions.c.turn == before)
    return bool(c.execute(update(sessions).where(*mine).values(**new)).rowcount)


def drop(c: Connection, key: Key) -> None:
    c.execute(delete(sessions).where(*_mine(key)))


def drop_expired(c: Connection, now_ms: int) -> None:
    c.execute(delete(sessions).where(sessions.c.expires_ms <= now_ms))


def drop_of_agent(c: Connection, account: str, agent_id: str) -> None:
    """Of every label: the agent is gone."""
    t = sessions.c
    c.execute(delete(sessions).where(t.account == account, t.agent_id == agent_id))


def count(c: Connection, account: str, label: str) -> int:
    t = sessions.c
    asked = select(func.count()).select_from(sessions)
    return c.execute(asked.where(t.account == account, t.label == label)).scalar_one()


def _mine(key: Key) -> tuple[ColumnElement[bool], ...]:
    return tuple(sessions.c[name] == value for name, value in key.values.items())

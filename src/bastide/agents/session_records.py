"""Conversations, sealed: each is of one agency, one label, one agent's alias and one session id."""

from collections.abc import Mapping, Sequence
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
from bastide.kernel.shares import Sharer, view_of

LATE_MS = 7 * 86_400_000
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
    Column("memory_id", String(100), nullable=False, server_default=""),
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
    def whose(self) -> Sharer:
        """As a call's."""
        return view_of(self.account, self.label)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A session after a turn. `memory_id`: of where it is to be remembered, "" for nowhere."""

    expires_ms: int
    sealed: bytes
    memory_id: str = ""


def save(c: Connection, key: Key, before: int, turned: Turned) -> bool:
    """The next turn; False if it is not at `before` any more (0: it was not there)."""
    new = {
        "turn": before + 1, "expires_ms": turned.expires_ms, "sealed": turned.sealed,
        "memory_id": turned.memory_id,
    }  # fmt: skip
    if before == 0:
        drop(c, key)  # one past its time
        c.execute(insert(sessions).values(**key.values, **new))
        return True
    mine = (*_mine(key), sessions.c.turn == before)
    return bool(c.execute(update(sessions).where(*mine).values(**new)).rowcount)


def drop(c: Connection, key: Key) -> None:
    c.execute(delete(sessions).where(*_mine(key)))


def expire(c: Connection, key: Key, now_ms: int) -> None:
    t = sessions.c
    c.execute(update(sessions).where(*_mine(key), t.expires_ms > now_ms).values(expires_ms=now_ms))


def drop_expired(c: Connection, now_ms: int) -> None:
    """What is to be remembered waits until it is summed up, for some days."""
    t = sessions.c
    c.execute(delete(sessions).where(t.expires_ms <= now_ms, t.memory_id == ""))
    c.execute(delete(sessions).where(t.expires_ms <= now_ms - LATE_MS))


def late(c: Connection, key: Key, memory_id: str, now_ms: int, limit: int) -> Sequence[str]:
    """The ids of sessions of a memory that are past their time, the oldest first."""
    t = sessions.c
    mine = _late(key, memory_id, now_ms)
    asked = select(t.id).where(*mine).order_by(t.expires_ms, t.id).limit(limit)
    return list(c.execute(asked).scalars())


def drop_late(c: Connection, key: Key, memory_id: str, now_ms: int) -> None:
    """Those that wait to be summed up: of one session if `key` names one, of every memory if
    `memory_id` is ""."""
    one = [sessions.c.id == key.id] if key.id else []
    c.execute(delete(sessions).where(*_late(key, memory_id, now_ms), *one))


def _late(key: Key, memory_id: str, now_ms: int) -> tuple[ColumnElement[bool], ...]:
    t = sessions.c
    of = t.memory_id == memory_id if memory_id else t.memory_id != ""
    whose = (t[name] == value for name, value in key.values.items() if name != "id")
    return (*whose, of, t.expires_ms <= now_ms)


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

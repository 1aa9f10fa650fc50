"""Guardrails and their versions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    PrimaryKeyConstraint,
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
from bastide.guardrails.model import DRAFT_NUMBER, Guardrail, Version

guardrails = Table(
    "guardrails",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("name", String(50), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("made", Integer, nullable=False),
    Column("token", String(256), nullable=False),
    Column("asked", String(64), nullable=False),
    Column("tags", Text, nullable=False),
    Index("ix_guardrails_account", "account", "id"),
)
versions = Table(
    "guardrail_versions",
    metadata,
    Column("guardrail_id", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("description", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("token", String(256), nullable=False),
    Column("config", Text, nullable=False),
    PrimaryKeyConstraint("guardrail_id", "number"),
)
_HEAD = [column for column in versions.columns if column.name != "config"]


def find(c: Connection, account: str, id_: str, labels: Sequence[str]) -> Guardrail | None:
    g = guardrails.c
    mine = (g.account == account) & (g.id == id_) & g.label.in_(labels)
    row = c.execute(select(guardrails).where(mine)).first()
    return None if row is None else _guardrail(row)


def named(c: Connection, account: str, label: str, name: str) -> Guardrail | None:
    g = guardrails.c
    mine = (g.account == account) & (g.label == label) & (g.name == name)
    row = c.execute(select(guardrails).where(mine)).first()
    return None if row is None else _guardrail(row)


def made_by(c: Connection, account: str, label: str, token: str) -> Guardrail | None:
    """What a token of the client's has made."""
    g = guardrails.c
    mine = (g.account == account) & (g.label == label) & (g.token == token)
    row = c.execute(select(guardrails).where(mine)).first() if token else None
    return None if row is None else _guardrail(row)


def count(c: Connection, account: str, label: str) -> int:
    g = guardrails.c
    mine = (g.account == account) & (g.label == label)
    return c.execute(select(func.count()).select_from(guardrails).where(mine)).scalar_one()


def page(
    c: Connection, account: str, labels: Sequence[str], after: str, limit: int
) -> list[tuple[Guardrail, Version]]:
    """Guardrails with their drafts, in order of their ids."""
    g = guardrails.c
    asked = select(guardrails).where(g.account == account, g.label.in_(labels), g.id > after)
    found = [_guardrail(row) for row in c.execute(asked.order_by(g.id).limit(limit))]
    return [(one, draft) for one in found if (draft := version(c, one.id, DRAFT_NUMBER))]


def add(c: Connection, new: Guardrail, draft: Version) -> None:
    c.execute(insert(guardrails).values(**_values(new)))
    add_version(c, draft)


def save(c: Connection, one: Guardrail) -> None:
    c.execute(update(guardrails).where(guardrails.c.id == one.id).values(**_values(one)))


def drop(c: Connection, id_: str) -> None:
    c.execute(delete(versions).where(versions.c.guardrail_id == id_))
    c.execute(delete(guardrails).where(guardrails.c.id == id_))


def version(c: Connection, id_: str, number: int, *, whole: bool = False) -> Version | None:
    """`whole`: with its configuration, which may be large."""
    v = versions.c
    asked = select(versions) if whole else select(*_HEAD)
    row = c.execute(asked.where(v.guardrail_id == id_, v.number == number)).first()
    return None if row is None else _version(row)


def version_made_by(c: Connection, id_: str, token: str) -> Version | None:
    v = versions.c
    mine = (v.guardrail_id == id_) & (v.token == token) & (v.number > DRAFT_NUMBER)
    row = c.execute(select(*_HEAD).where(mine)).first() if token else None
    return None if row is None else _version(row)


def versions_of(c: Connection, id_: str, after: int, limit: int) -> list[Version]:
    """In order of their numbers; the draft is the first."""
    v = versions.c
    asked = select(*_HEAD).where(v.guardrail_id == id_, v.number > after)
    return [_version(row) for row in c.execute(asked.order_by(v.number).limit(limit))]


def count_versions(c: Connection, id_: str) -> int:
    """Without the draft."""
    v = versions.c
    mine = (v.guardrail_id == id_) & (v.number > DRAFT_NUMBER)
    return c.execute(select(func.count()).select_from(versions).where(mine)).scalar_one()


def add_version(c: Connection, new: Version) -> None:
    c.execute(insert(versions).values(**{name: getattr(new, name) for name in Version.__slots__}))


def save_draft(c: Connection, draft: Version) -> None:
    v = versions.c
    mine = (v.guardrail_id == draft.guardrail_id) & (v.number == DRAFT_NUMBER)
    values = {name: getattr(draft, name) for name in Version.__slots__}
    c.execute(update(versions).where(mine).values(**values))


def drop_version(c: Connection, id_: str, number: int) -> None:
    v = versions.c
    c.execute(delete(versions).where((v.guardrail_id == id_) & (v.number == number)))


def _values(one: Guardrail) -> dict[str, Any]:
    found = {name: getattr(one, name) for name in Guardrail.__slots__}
    return {**found, "tags": json.dumps(dict(one.tags))}


def _guardrail(row: Any) -> Guardrail:
    tags: Mapping[str, str] = json.loads(row.tags)
    found = {name: getattr(row, name) for name in Guardrail.__slots__}
    return Guardrail(**{**found, "tags": tags})


def _version(row: Any) -> Version:
    found: dict[str, Any] = {name: getattr(row, name, "") for name in Version.__slots__}
    return Version(**found)

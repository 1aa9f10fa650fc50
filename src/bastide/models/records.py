"""The inference profiles that agencies make."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from bastide.db.schema import metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """`source` is the ARN that it was copied from: a model's, or a system-defined profile's."""

    id: str
    account: str
    label: str
    name: str
    description: str
    source: str
    token: str
    created_ms: int
    tags: Mapping[str, str]


profiles = Table(
    "inference_profiles",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("name", String(64), nullable=False),
    Column("description", String(200), nullable=False),
    Column("source", String(2048), nullable=False),
    Column("token", String(256), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("tags", Text, nullable=False),
    Index("ix_inference_profiles_account", "account", "id"),
)


def find(c: Connection, account: str, id_: str, labels: Sequence[str]) -> Profile | None:
    p = profiles.c
    mine = (p.account == account) & (p.id == id_) & p.label.in_(labels)
    row = c.execute(select(profiles).where(mine)).first()
    return None if row is None else _profile(row)


def of_token(c: Connection, account: str, label: str, token: str) -> Profile | None:
    p = profiles.c
    mine = (p.account == account) & (p.label == label) & (p.token == token)
    row = c.execute(select(profiles).where(mine)).first()
    return None if row is None else _profile(row)


def page(
    c: Connection, account: str, labels: Sequence[str], after: str, limit: int
) -> list[Profile]:
    """By id."""
    p = profiles.c
    mine = (p.account == account) & p.label.in_(labels) & (p.id > after)
    return [
        _profile(row) for row in c.execute(select(profiles).where(mine).order_by(p.id).limit(limit))
    ]


def count(c: Connection, account: str, label: str) -> int:
    p = profiles.c
    mine = (p.account == account) & (p.label == label)
    return len(c.execute(select(p.id).where(mine)).all())


def add(c: Connection, new: Profile) -> bool:
    """False if its label has one of that name."""
    p = profiles.c
    same = (p.account == new.account) & (p.label == new.label) & (p.name == new.name)
    if c.execute(select(p.id).where(same)).first() is not None:
        return False
    values: dict[str, Any] = {name: getattr(new, name) for name in Profile.__slots__}
    c.execute(insert(profiles).values(values | {"tags": json.dumps(dict(new.tags))}))
    return True


def set_tags(c: Connection, account: str, id_: str, tags: Mapping[str, str]) -> None:
    p = profiles.c
    mine = (p.account == account) & (p.id == id_)
    c.execute(update(profiles).where(mine).values(tags=json.dumps(dict(tags))))


def remove(c: Connection, account: str, id_: str) -> None:
    p = profiles.c
    c.execute(delete(profiles).where((p.account == account) & (p.id == id_)))


def _profile(row: Any) -> Profile:
    found = {name: getattr(row, name) for name in Profile.__slots__}
    return Profile(**(found | {"tags": json.loads(row.tags)}))

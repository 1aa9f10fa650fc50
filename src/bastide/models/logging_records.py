"""Where the invocations of an agency's models are logged, as sessions of each label said it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
)

from bastide.db.schema import metadata

configurations = Table(
    "model_invocation_logging",
    metadata,
    Column("account", String(12), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("config", Text, nullable=False),
    PrimaryKeyConstraint("account", "label"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    account: str
    label: str
    updated_ms: int
    config: Mapping[str, Any]


def every(c: Connection) -> Sequence[Configuration]:
    rows = c.execute(select(configurations).order_by(configurations.c.updated_ms))
    return [
        Configuration(
            account=row.account,
            label=row.label,
            updated_ms=row.updated_ms,
            config=json.loads(row.config),
        )
        for row in rows
    ]


def put(c: Connection, one: Configuration) -> None:
    drop(c, one.account, one.label)
    c.execute(
        insert(configurations).values(
            account=one.account,
            label=one.label,
            updated_ms=one.updated_ms,
            config=json.dumps(one.config),
        )
    )


def drop(c: Connection, account: str, label: str) -> None:
    t = configurations.c
    c.execute(delete(configurations).where(t.account == account, t.label == label))

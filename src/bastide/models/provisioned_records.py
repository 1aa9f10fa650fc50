"""Throughput that agencies have reserved: which model, how much of it, and how far it is."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
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


class Status(StrEnum):
    CREATING = "Creating"
    IN_SERVICE = "InService"
    UPDATING = "Updating"  # it was in service, and is held again after a start
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """`model_id`: of the foundation model. `sha256`: of the weights that run."""

    id: str
    account: str
    label: str
    name: str
    model_id: str
    sha256: str
    units: int
    memory_mib: int
    created_ms: int
    updated_ms: int
    status: Status = Status.CREATING
    failure: str = ""
    token: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


throughputs = Table(
    "provisioned_throughputs",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("name", String(40), nullable=False),
    Column("model_id", String(256), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("units", Integer, nullable=False),
    Column("memory_mib", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("failure", Text, nullable=False),
    Column("token", String(256), nullable=False),
    Column("tags", Text, nullable=False),
    Index("ix_provisioned_throughputs_account", "account", "created_ms"),
)


def every(c: Connection) -> Sequence[Throughput]:
    t = throughputs.c
    return [_read(row) for row in c.execute(select(throughputs).order_by(t.created_ms, t.id))]


def of_account(c: Connection, account: str, seen: Collection[str]) -> Sequence[Throughput]:
    """The newest first."""
    t = throughputs.c
    mine = (t.account == account) & t.label.in_(seen)
    asked = select(throughputs).where(mine).order_by(t.created_ms.desc(), t.id)
    return [_read(row) for row in c.execute(asked)]


def reserved_mib(c: Connection, label: str) -> Counter[str]:
    """By each agency, at one label alone: what is reserved at another refuses nothing here."""
    t = throughputs.c
    asked = (
        select(t.account, func.sum(t.memory_mib))
        .where((t.label == label) & (t.status != Status.FAILED))
        .group_by(t.account)
    )
    return Counter({account: int(sum_mib) for account, sum_mib in c.execute(asked)})


def add(c: Connection, new: Throughput) -> None:
    c.execute(insert(throughputs).values(**_values(new)))


def change(c: Connection, account: str, id_: str, **new: Any) -> bool:
    """False where it is gone."""
    t = throughputs.c
    mine = (t.account == account) & (t.id == id_)
    return bool(c.execute(update(throughputs).where(mine).values(**new)).rowcount)


def remove(c: Connection, account: str, id_: str) -> None:
    t = throughputs.c
    c.execute(delete(throughputs).where((t.account == account) & (t.id == id_)))


def tags_in_text(tags: Mapping[str, str]) -> str:
    return json.dumps(dict(tags))


def _values(row: Throughput) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in type(row).__slots__}
    return {**found, "status": str(row.status), "tags": tags_in_text(row.tags)}


def _read(row: Any) -> Throughput:
    found = dict(row._mapping)
    return Throughput(
        **{**found, "status": Status(found["status"]), "tags": json.loads(found["tags"])}
    )

"""Functions and their zips. The account is named first; names are each label's own."""

import json
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
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

from bastide.db import named
from bastide.db.named import Listing
from bastide.db.schema import metadata
from bastide.functions.model import Function
from bastide.kernel.labels.view import View

functions = Table(
    "lambda_functions",
    metadata,
    Column("account", String(12), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("name", String(64), nullable=False),
    Column("arn", String(256), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("revision", String(36), nullable=False),
    Column("code_id", String(36), nullable=False),
    Column("code_sha256", String(44), nullable=False),
    Column("code_size", BigInteger, nullable=False),
    Column("asked", Text, nullable=False),
    Column("env", LargeBinary, nullable=False),
    Column("statements", Text, nullable=False),
    Column("tags", Text, nullable=False),
    PrimaryKeyConstraint("account", "label", "name"),
)
packages = Table(
    "lambda_packages",
    metadata,
    Column("account", String(12), nullable=False),
    Column("id", String(36), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("account", "id"),
)
_JSON = frozenset({"asked", "statements", "tags"})


def find(c: Connection, account: str, name: str, view: View) -> Function | None:
    row = named.found(c, functions, account, name, view)
    return None if row is None else _function(row)


def page(c: Connection, account: str, after: str, limit: int, view: View) -> list[Function]:
    """In the order of their names."""
    beyond = (after, after) if after else None
    listing = Listing(order="name", descending=False, limit=limit, beyond=beyond)
    return [_function(row) for row in named.listed(c, functions, account, listing, view)]


def count(c: Connection, account: str, label: str) -> int:
    t = functions.c
    asked = select(func.count()).select_from(functions)
    return c.execute(asked.where(t.account == account, t.label == label)).scalar_one()


def stored_bytes(c: Connection, account: str, label: str) -> int:
    t = packages.c
    asked = select(func.coalesce(func.sum(t.size), 0))
    return int(c.execute(asked.where(t.account == account, t.label == label)).scalar_one())


def add(c: Connection, new: Function) -> None:
    c.execute(insert(functions).values(**_values(new)))


def save(c: Connection, one: Function) -> None:
    t = functions.c
    mine = (t.account == one.account, t.label == one.label, t.name == one.name)
    c.execute(update(functions).where(*mine).values(**_values(one)))


def drop(c: Connection, one: Function) -> None:
    t = functions.c
    mine = (t.account == one.account, t.label == one.label, t.name == one.name)
    c.execute(delete(functions).where(*mine))
    drop_package(c, one.account, one.code_id)


def add_package(c: Connection, new: Function, sealed: bytes) -> None:
    c.execute(
        insert(packages).values(
            account=new.account, id=new.code_id, label=new.label, size=new.code_size, sealed=sealed
        )
    )


def package(c: Connection, account: str, code_id: str) -> bytes | None:
    t = packages.c
    asked = select(t.sealed).where(t.account == account, t.id == code_id)
    found = c.execute(asked).scalar()
    return None if found is None else bytes(found)


def drop_package(c: Connection, account: str, code_id: str) -> None:
    c.execute(delete(packages).where(packages.c.account == account, packages.c.id == code_id))


def _values(one: Function) -> dict[str, Any]:
    found = {each.name: getattr(one, each.name) for each in fields(one)}
    return {name: json.dumps(value) if name in _JSON else value for name, value in found.items()}


def _function(row: Row[Any]) -> Function:
    found = {
        name: json.loads(value) if name in _JSON else value for name, value in row._mapping.items()
    }
    return Function(**found)

"""Keys, their versions, aliases and grants, in the key database. The account is named first."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
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

from bastide.db.schema import key_metadata
from bastide.kms.model import Alias, Grant, Key, Material, State, Usage

keys = Table(
    "kms_keys",
    key_metadata,
    Column("id", String(36), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("label", Text, nullable=False),
    Column("spec", String(32), nullable=False),
    Column("usage", String(32), nullable=False),
    Column("policy", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("state", String(32), nullable=False),
    Column("description", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("deletion_ms", BigInteger),
    Column("window_days", Integer),
    Column("rotation_days", Integer),
    Column("rotation_ms", BigInteger),
    Column("tags", Text, nullable=False),
    Index("ix_kms_keys_account", "account", "id"),
)
versions = Table(
    "kms_versions",
    key_metadata,
    Column("key_id", String(36), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kek_id", String(64), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("reason", String(16), nullable=False),
    PrimaryKeyConstraint("key_id", "number"),
)
aliases = Table(
    "kms_aliases",
    key_metadata,
    Column("account", String(12), nullable=False),
    Column("name", String(256), nullable=False),
    Column("label", String(512), nullable=False),  # its key's: a name is free below what bears it
    Column("key_id", String(36), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "name", "label"),
    Index("ix_kms_aliases_key", "key_id"),
)
grants = Table(
    "kms_grants",
    key_metadata,
    Column("id", String(64), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("key_id", String(36), nullable=False),
    Column("grantee", String(128), nullable=False),
    Column("retiring", String(128), nullable=False),
    Column("name", String(256), nullable=False),
    Column("operations", Text, nullable=False),
    Column("subset", Text, nullable=False),
    Column("equals", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("ix_kms_grants_key", "key_id", "id"),
    Index("ix_kms_grants_retiring", "account", "retiring", "id"),
)


def find(c: Connection, account: str, key_id: str) -> Key | None:
    row = c.execute(select(keys).where(keys.c.account == account, keys.c.id == key_id)).first()
    return None if row is None else _key(row)


def labels_of(c: Connection, account: str) -> list[str]:
    """The markings that keys of the account carry: a few."""
    return list(
        c.execute(select(keys.c.label).where(keys.c.account == account).distinct()).scalars()
    )


def labels(c: Connection) -> list[str]:
    """The markings that keys carry, of all accounts."""
    return list(c.execute(select(keys.c.label).distinct()).scalars())


def count(c: Connection, account: str, label: str) -> int:
    return c.execute(
        select(func.count())
        .select_from(keys)
        .where(keys.c.account == account, keys.c.label == label)
    ).scalar_one()


def add(c: Connection, key: Key, material: Material) -> None:
    c.execute(insert(keys).values(**_values(key)))
    add_version(c, material)


def save(c: Connection, key: Key) -> None:
    c.execute(
        update(keys)
        .where(keys.c.account == key.account, keys.c.id == key.id)
        .values(**_values(key))
    )


def page(c: Connection, account: str, labels: Sequence[str], after: str, limit: int) -> list[Key]:
    asked = select(keys).where(
        keys.c.account == account, keys.c.label.in_(labels), keys.c.id > after
    )
    return [_key(row) for row in c.execute(asked.order_by(keys.c.id).limit(limit))]


def due(c: Connection, now_ms: int, limit: int) -> list[Key]:
    """Those to destroy or to rotate now, of every account: for the region's own upkeep."""
    asked = select(keys).where((keys.c.deletion_ms <= now_ms) | (keys.c.rotation_ms <= now_ms))
    return [_key(row) for row in c.execute(asked.order_by(keys.c.id).limit(limit))]


def destroy(c: Connection, key: Key) -> None:
    """All that there is of it. What it sealed can never be opened again."""
    c.execute(delete(versions).where(versions.c.key_id == key.id))
    c.execute(delete(aliases).where(aliases.c.key_id == key.id))
    c.execute(delete(grants).where(grants.c.key_id == key.id))
    c.execute(delete(keys).where(keys.c.account == key.account, keys.c.id == key.id))


def add_version(c: Connection, material: Material) -> None:
    c.execute(
        insert(versions).values(
            key_id=material.key_id, number=material.number, kek_id=material.kek_id,
            wrapped=material.wrapped, public=material.public, created_ms=material.created_ms,
            reason=material.reason,
        )
    )  # fmt: skip


def version(c: Connection, key: Key, number: int) -> Material | None:
    row = c.execute(
        select(versions).where(versions.c.key_id == key.id, versions.c.number == number)
    ).first()
    return None if row is None else _material(row)


def later_versions(c: Connection, key: Key, after: int, limit: int) -> list[Material]:
    """The versions that rotations made, oldest first."""
    asked = select(versions).where(
        versions.c.key_id == key.id, versions.c.reason != "", versions.c.number > after
    )
    return [_material(row) for row in c.execute(asked.order_by(versions.c.number).limit(limit))]


def find_alias(c: Connection, account: str, name: str, labels: Sequence[str]) -> Alias | None:
    """The alias of that name under the first of `labels` that has one."""
    mine = (aliases.c.account == account) & (aliases.c.name == name)
    rows = c.execute(select(aliases).where(mine, aliases.c.label.in_(labels))).all()
    found = {row.label: _alias(row) for row in rows}
    return next((found[label] for label in labels if label in found), None)


def put_alias(c: Connection, account: str, alias: Alias) -> None:
    """Make it, or let it stand for another key."""
    drop_alias(c, account, alias)
    c.execute(
        insert(aliases).values(
            account=account, name=alias.name, label=alias.label, key_id=alias.key_id,
            created_ms=alias.created_ms, updated_ms=alias.updated_ms,
        )
    )  # fmt: skip


def drop_alias(c: Connection, account: str, alias: Alias) -> None:
    mine = (aliases.c.account == account) & (aliases.c.name == alias.name)
    c.execute(delete(aliases).where(mine, aliases.c.label == alias.label))


def alias_page(
    c: Connection, account: str, labels: Sequence[str], key_id: str | None
) -> list[Alias]:
    """In order of name; where several labels have one name, the first label's."""
    asked = select(aliases).where(aliases.c.account == account, aliases.c.label.in_(labels))
    if key_id is not None:
        asked = asked.where(aliases.c.key_id == key_id)
    found: dict[str, Alias] = {}
    for row in sorted(c.execute(asked), key=lambda row: labels.index(row.label)):
        found.setdefault(row.name, _alias(row))
    return [found[name] for name in sorted(found)]


def aliases_of(c: Connection, account: str, key_id: str) -> int:
    mine = (aliases.c.account == account) & (aliases.c.key_id == key_id)
    return c.execute(select(func.count()).select_from(aliases).where(mine)).scalar_one()


def add_grant(c: Connection, grant: Grant) -> None:
    c.execute(
        insert(grants).values(
            id=grant.id, account=grant.account, key_id=grant.key_id, grantee=grant.grantee,
            retiring=grant.retiring, name=grant.name, operations=json.dumps(list(grant.operations)),
            subset=json.dumps(dict(grant.subset)), equals=json.dumps(dict(grant.equals)),
            created_ms=grant.created_ms,
        )
    )  # fmt: skip


def find_grant(c: Connection, account: str, grant_id: str) -> Grant | None:
    row = c.execute(
        select(grants).where(grants.c.account == account, grants.c.id == grant_id)
    ).first()
    return None if row is None else _grant(row)


def drop_grant(c: Connection, grant: Grant) -> None:
    c.execute(delete(grants).where(grants.c.id == grant.id))


def grants_on(
    c: Connection, account: str, key_id: str, after: str = "", limit: int | None = None
) -> list[Grant]:
    asked = select(grants).where(
        grants.c.account == account, grants.c.key_id == key_id, grants.c.id > after
    )
    return [_grant(row) for row in c.execute(asked.order_by(grants.c.id).limit(limit))]


def grants_retired_by(
    c: Connection, account: str, retiring: str, labels: Sequence[str], after: str, limit: int
) -> list[Grant]:
    seen = select(keys.c.id).where(keys.c.account == account, keys.c.label.in_(labels))
    mine = (grants.c.account == account) & (grants.c.retiring == retiring)
    asked = select(grants).where(mine, grants.c.key_id.in_(seen), grants.c.id > after)
    return [_grant(row) for row in c.execute(asked.order_by(grants.c.id).limit(limit))]


def _values(key: Key) -> dict[str, Any]:
    return {
        "id": key.id, "account": key.account, "label": key.label, "spec": key.spec,
        "usage": key.usage.value, "policy": key.policy, "created_ms": key.created_ms,
        "state": key.state.value, "description": key.description, "version": key.version,
        "deletion_ms": key.deletion_ms, "window_days": key.window_days,
        "rotation_days": key.rotation_days, "rotation_ms": key.rotation_ms,
        "tags": json.dumps(dict(key.tags)),
    }  # fmt: skip


def _key(row: Any) -> Key:
    return Key(
        account=row.account, id=row.id, label=row.label, spec=row.spec, usage=Usage(row.usage),
        policy=row.policy, created_ms=row.created_ms, state=State(row.state),
        description=row.description, version=row.version, deletion_ms=row.deletion_ms,
        window_days=row.window_days, rotation_days=row.rotation_days, rotation_ms=row.rotation_ms,
        tags=_texts(row.tags),
    )  # fmt: skip


def _material(row: Any) -> Material:
    return Material(
        key_id=row.key_id, number=row.number, kek_id=row.kek_id, wrapped=row.wrapped,
        public=row.public, created_ms=row.created_ms, reason=row.reason,
    )  # fmt: skip


def _alias(row: Any) -> Alias:
    return Alias(
        name=row.name,
        label=row.label,
        key_id=row.key_id,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
    )


def _grant(row: Any) -> Grant:
    operations: Sequence[str] = json.loads(row.operations)
    return Grant(
        id=row.id, account=row.account, key_id=row.key_id, grantee=row.grantee,
        retiring=row.retiring, name=row.name, operations=operations, created_ms=row.created_ms,
        subset=_texts(row.subset), equals=_texts(row.equals),
    )  # fmt: skip


def _texts(text: str) -> Mapping[str, str]:
    found: Mapping[str, str] = json.loads(text)
    return found

"""The tables of identity, and the only SQL that touches them.

A name is unique in its account whatever its case, as in IAM: `name_key` is the name in lower
case. Every row carries its account, and every function takes it: no query spans two.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    LargeBinary,
    RowMapping,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.sql import ColumnElement

from bastide.db.schema import metadata
from bastide.identity.model import AccessKey, Agency, Entity, Kind, ServiceKey
from bastide.kernel.call import Duty

Row = dict[str, Any]
agencies = Table(
    "identity_agencies",
    metadata,
    Column("account_id", String(12), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("label", Text, nullable=False, server_default=""),
    Column("handed_ms", BigInteger, nullable=False, server_default="0"),
)
entities = Table(
    "identity_entities",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("kind", String(5), primary_key=True),
    Column("name_key", String(128), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("path", String(512), nullable=False),
    Column("id", String(32), nullable=False),
    Column("arn", String(700), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("tags", Text, nullable=False),
    Column("trust", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("session_max_s", BigInteger, nullable=False),
    Column("boundary", String(700), nullable=False, server_default=""),
    Column("duty", String(32), nullable=False, server_default=""),
)
members = Table(
    "identity_members",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("group", String(128), primary_key=True),
    Column("user", String(64), primary_key=True),
)
aliases = Table(
    "identity_aliases",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("alias", String(63), nullable=False),
)
inline = Table(
    "identity_inline",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("kind", String(5), primary_key=True),
    Column("owner", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("document", Text, nullable=False),
)
attached = Table(
    "identity_attached",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("kind", String(5), primary_key=True),
    Column("owner", String(128), primary_key=True),
    Column("policy_arn", String(700), primary_key=True),
)
managed = Table(
    "identity_managed",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("name_key", String(128), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("path", String(512), nullable=False),
    Column("id", String(32), nullable=False),
    Column("arn", String(700), nullable=False),
    Column("document", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("tags", Text, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="1"),
    Column("last", BigInteger, nullable=False, server_default="1"),
    Column("changed_ms", BigInteger, nullable=False, server_default="0"),
)
versions = Table(
    "identity_policy_versions",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("policy_id", String(32), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
access_keys = Table(
    "identity_access_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account", String(12), nullable=False, index=True),
    Column("user", String(64), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
service_keys = Table(
    "identity_service_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("account", String(12), nullable=False, index=True),
    Column("user", String(64), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
)


def entity_row(entity: Entity) -> Row:
    return {
        "account": entity.account,
        "kind": entity.kind.value,
        "name_key": entity.name.lower(),
        "name": entity.name,
        "path": entity.path,
        "id": entity.id,
        "arn": entity.arn,
        "created_ms": entity.created_ms,
        "tags": json.dumps(dict(entity.tags)),
        "trust": entity.trust,
        "description": entity.description,
        "session_max_s": entity.session_max_s,
        "boundary": entity.boundary,
        "duty": entity.duty or "",
    }


def _entity(row: RowMapping) -> Entity:
    fields: Row = {key: value for key, value in row.items() if key != "name_key"}
    duty = Duty(row["duty"]) if row["duty"] else None
    read = {"kind": Kind(row["kind"]), "tags": json.loads(row["tags"]), "duty": duty}
    return Entity(**fields | read)


def inline_row(entity: Entity, name: str, document: str) -> Row:
    return {
        "account": entity.account,
        "kind": entity.kind.value,
        "owner": entity.name,
        "name": name,
        "document": document,
    }


def key_row(key: AccessKey) -> Row:
    return {
        "id": key.id,
        "account": key.account,
        "user": key.user,
        "active": key.active,
        "sealed": key.sealed,
        "created_ms": key.created_ms,
    }


def insert_all(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(insert(table), list(rows))


def all_agencies(connection: Connection) -> list[Agency]:
    rows = connection.execute(select(agencies).order_by(agencies.c.name)).mappings()
    return [Agency(**row) for row in rows]


def agency_rows(made: Sequence[Agency]) -> list[Row]:
    return [asdict(agency) for agency in made]


def find_agency(connection: Connection, name_or_account: str) -> Agency | None:
    same = (agencies.c.name == name_or_account) | (agencies.c.account_id == name_or_account)
    row = connection.execute(select(agencies).where(same)).mappings().first()
    return Agency(**row) if row else None


def set_label(connection: Connection, agency: Agency, label: str) -> bool:
    """Give an agency another default label, if it still has the one that is known of it."""
    same = (agencies.c.account_id == agency.account_id) & (agencies.c.label == agency.label)
    return connection.execute(update(agencies).where(same).values(label=label)).rowcount == 1


def hand_out(connection: Connection, account: str, now_ms: int) -> bool:
    """Note that the keys of an agency's administrator are handed out; False: they were before."""
    never = (agencies.c.account_id == account) & (agencies.c.handed_ms == 0)
    return connection.execute(update(agencies).where(never).values(handed_ms=now_ms)).rowcount > 0


def _is(table: Table, account: str, kind: Kind, name: str) -> ColumnElement[bool]:
    same = (table.c.account == account) & (table.c.kind == kind.value)
    column = table.c.name_key if "name_key" in table.c else table.c.owner
    return same & (column == (name.lower() if "name_key" in table.c else name))


def find_entity(connection: Connection, account: str, kind: Kind, name: str) -> Entity | None:
    row = connection.execute(select(entities).where(_is(entities, account, kind, name)))
    found = row.mappings().first()
    return _entity(found) if found else None


def find_by_id(connection: Connection, account: str, unique_id: str) -> Entity | None:
    where = (entities.c.account == account) & (entities.c.id == unique_id)
    found = connection.execute(select(entities).where(where)).mappings().first()
    return _entity(found) if found else None


def list_entities(connection: Connection, account: str, kind: Kind) -> list[Entity]:
    same = (entities.c.account == account) & (entities.c.kind == kind.value)
    rows = connection.execute(select(entities).where(same).order_by(entities.c.name_key))
    return [_entity(row) for row in rows.mappings()]


def count_entities(connection: Connection, account: str, kind: Kind) -> int:
    same = (entities.c.account == account) & (entities.c.kind == kind.value)
    return int(connection.execute(select(func.count()).where(same)).scalar_one())


def with_duty(connection: Connection, account: str) -> list[Entity]:
    """The users and roles of an account that have a duty."""
    where = (entities.c.account == account) & (entities.c.duty != "")
    query = select(entities).where(where).order_by(entities.c.kind, entities.c.name_key)
    return [_entity(row) for row in connection.execute(query).mappings()]


def change_entity(connection: Connection, entity: Entity) -> None:
    where = _is(entities, entity.account, entity.kind, entity.name)
    connection.execute(update(entities).where(where).values(**entity_row(entity)))


def delete_entity(connection: Connection, entity: Entity) -> None:
    connection.execute(
        delete(entities).where(_is(entities, entity.account, entity.kind, entity.name))
    )


def inline_of(connection: Connection, entity: Entity) -> dict[str, str]:
    where = _is(inline, entity.account, entity.kind, entity.name)
    rows = connection.execute(
        select(inline.c.name, inline.c.document).where(where).order_by(inline.c.name)
    )
    return {row.name: row.document for row in rows}


def put_inline(connection: Connection, entity: Entity, name: str, document: str) -> None:
    delete_inline(connection, entity, name)
    connection.execute(insert(inline).values(**inline_row(entity, name, document)))


def delete_inline(connection: Connection, entity: Entity, name: str) -> bool:
    where = _is(inline, entity.account, entity.kind, entity.name) & (inline.c.name == name)
    return connection.execute(delete(inline).where(where)).rowcount > 0


def attached_to(connection: Connection, entity: Entity) -> list[str]:
    where = _is(attached, entity.account, entity.kind, entity.name)
    rows = connection.execute(
        select(attached.c.policy_arn).where(where).order_by(attached.c.policy_arn)
    )
    return [arn for (arn,) in rows]


def attach(connection: Connection, entity: Entity, arn: str) -> None:
    detach(connection, entity, arn)
    values = {"account": entity.account, "kind": entity.kind.value, "owner": entity.name}
    connection.execute(insert(attached).values(**values, policy_arn=arn))


def detach(connection: Connection, entity: Entity, arn: str) -> bool:
    where = _is(attached, entity.account, entity.kind, entity.name)
    return (
        connection.execute(delete(attached).where(where & (attached.c.policy_arn == arn))).rowcount
        > 0
    )


def all_key_ids(connection: Connection) -> list[str]:
    """What tells a key that a request names: its id, or its digest."""
    ids = list(connection.execute(select(access_keys.c.id)).scalars())
    return ids + list(connection.execute(select(service_keys.c.digest)).scalars())


def find_key(connection: Connection, key_id: str) -> AccessKey | None:
    row = connection.execute(select(access_keys).where(access_keys.c.id == key_id))
    found = row.mappings().first()
    return AccessKey(**found) if found else None


def keys_of(connection: Connection, account: str, user: str) -> list[AccessKey]:
    where = (access_keys.c.account == account) & (access_keys.c.user == user)
    query = select(access_keys).where(where).order_by(access_keys.c.created_ms, access_keys.c.id)
    return [AccessKey(**row) for row in connection.execute(query).mappings()]


def set_key_active(connection: Connection, key_id: str, active: bool) -> None:
    where = access_keys.c.id == key_id
    connection.execute(update(access_keys).where(where).values(active=active))


def delete_key(connection: Connection, key_id: str) -> None:
    connection.execute(delete(access_keys).where(access_keys.c.id == key_id))


def add_service_key(connection: Connection, key: ServiceKey) -> None:
    values = {name: getattr(key, name) for name in service_keys.c.keys()}  # noqa: SIM118
    connection.execute(insert(service_keys).values(**values))


def find_service_key(connection: Connection, digest: str) -> ServiceKey | None:
    row = connection.execute(select(service_keys).where(service_keys.c.digest == digest))
    found = row.mappings().first()
    return ServiceKey(**found) if found else None


def service_keys_of(connection: Connection, account: str, user: str) -> list[ServiceKey]:
    where = (service_keys.c.account == account) & (service_keys.c.user == user)
    query = select(service_keys).where(where).order_by(service_keys.c.created_ms)
    return [ServiceKey(**row) for row in connection.execute(query).mappings()]


def set_service_key_active(connection: Connection, key_id: str, active: bool) -> None:
    where = service_keys.c.id == key_id
    connection.execute(update(service_keys).where(where).values(active=active))


def delete_service_key(connection: Connection, key_id: str) -> None:
    connection.execute(delete(service_keys).where(service_keys.c.id == key_id))

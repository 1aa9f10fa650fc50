"""The only SQL that touches customer-managed policies, their versions and where they are attached.

The tables are in `records.py`, beside what they refer to.
"""

import json

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from bastide.identity.model import Kind, ManagedPolicy, PolicyVersion
from bastide.identity.records import Row, attached, entities, managed, versions


def attachments(connection: Connection, account: str) -> dict[str, int]:
    """How often each policy is attached in the account."""
    query = select(attached.c.policy_arn, func.count()).where(attached.c.account == account)
    rows = connection.execute(query.group_by(attached.c.policy_arn))
    return {row[0]: row[1] for row in rows}


def boundaries(connection: Connection, account: str) -> dict[str, int]:
    """How many users and roles each policy bounds."""
    where = (entities.c.account == account) & (entities.c.boundary != "")
    query = select(entities.c.boundary, func.count()).where(where)
    rows = connection.execute(query.group_by(entities.c.boundary))
    return {row[0]: row[1] for row in rows}


def attached_where(connection: Connection, account: str, arn: str) -> list[tuple[Kind, str]]:
    """The kind and name of everything that a policy is attached to."""
    where = (attached.c.account == account) & (attached.c.policy_arn == arn)
    rows = connection.execute(select(attached.c.kind, attached.c.owner).where(where))
    return [(Kind(kind), owner) for kind, owner in rows]


def bounded_by(connection: Connection, account: str, arn: str) -> list[tuple[Kind, str]]:
    where = (entities.c.account == account) & (entities.c.boundary == arn)
    rows = connection.execute(select(entities.c.kind, entities.c.name).where(where))
    return [(Kind(kind), name) for kind, name in rows]


def _managed(row: RowMapping) -> ManagedPolicy:
    fields: Row = {key: value for key, value in row.items() if key != "name_key"}
    return ManagedPolicy(**fields | {"tags": json.loads(row["tags"])})


def _row(policy: ManagedPolicy) -> Row:
    values: Row = {name: getattr(policy, name) for name in managed.c.keys() if name != "name_key"}  # noqa: SIM118
    return values | {"name_key": policy.name.lower(), "tags": json.dumps(dict(policy.tags))}


def find_managed(connection: Connection, account: str, arn: str) -> ManagedPolicy | None:
    where = (managed.c.account == account) & (managed.c.arn == arn)
    row = connection.execute(select(managed).where(where)).mappings().first()
    return _managed(row) if row else None


def managed_named(connection: Connection, account: str, name: str) -> bool:
    where = (managed.c.account == account) & (managed.c.name_key == name.lower())
    return connection.execute(select(managed.c.id).where(where)).first() is not None


def list_managed(connection: Connection, account: str) -> list[ManagedPolicy]:
    query = select(managed).where(managed.c.account == account).order_by(managed.c.name_key)
    return [_managed(row) for row in connection.execute(query).mappings()]


def add_managed(connection: Connection, policy: ManagedPolicy) -> None:
    connection.execute(insert(managed).values(**_row(policy)))


def change_managed(connection: Connection, policy: ManagedPolicy) -> None:
    where = (managed.c.account == policy.account) & (managed.c.arn == policy.arn)
    connection.execute(update(managed).where(where).values(**_row(policy)))


def delete_managed(connection: Connection, policy: ManagedPolicy) -> None:
    where = (managed.c.account == policy.account) & (managed.c.arn == policy.arn)
    connection.execute(delete(managed).where(where))
    same = (versions.c.account == policy.account) & (versions.c.policy_id == policy.id)
    connection.execute(delete(versions).where(same))


def add_version(connection: Connection, policy: ManagedPolicy, version: PolicyVersion) -> None:
    connection.execute(
        insert(versions).values(
            account=policy.account,
            policy_id=policy.id,
            number=version.number,
            document=version.document,
            created_ms=version.created_ms,
        )
    )


def versions_of(connection: Connection, policy: ManagedPolicy) -> list[PolicyVersion]:
    """Oldest first."""
    where = (versions.c.account == policy.account) & (versions.c.policy_id == policy.id)
    columns = (versions.c.number, versions.c.document, versions.c.created_ms)
    query = select(*columns).where(where).order_by(versions.c.number)
    return [PolicyVersion(**row) for row in connection.execute(query).mappings()]


def delete_version(connection: Connection, policy: ManagedPolicy, number: int) -> None:
    where = (versions.c.account == policy.account) & (versions.c.policy_id == policy.id)
    connection.execute(delete(versions).where(where & (versions.c.number == number)))

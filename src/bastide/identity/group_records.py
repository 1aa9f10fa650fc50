"""The only SQL that touches who is in which group, names that change, and account aliases."""

from sqlalchemy import Connection, delete, insert, select, update

from bastide.identity.model import Entity, Kind
from bastide.identity.records import (
    access_keys,
    aliases,
    attached,
    entities,
    entity_row,
    inline,
    members,
    service_keys,
)


def groups_of(connection: Connection, account: str, user: str) -> list[str]:
    where = (members.c.account == account) & (members.c.user == user)
    rows = connection.execute(select(members.c.group).where(where).order_by(members.c.group))
    return [group for (group,) in rows]


def users_in(connection: Connection, account: str, group: str) -> list[str]:
    where = (members.c.account == account) & (members.c.group == group)
    rows = connection.execute(select(members.c.user).where(where).order_by(members.c.user))
    return [user for (user,) in rows]


def add_member(connection: Connection, account: str, group: str, user: str) -> None:
    connection.execute(insert(members).values(account=account, group=group, user=user))


def remove_member(connection: Connection, account: str, group: str, user: str) -> bool:
    where = (members.c.account == account) & (members.c.group == group) & (members.c.user == user)
    return connection.execute(delete(members).where(where)).rowcount > 0


def rename(connection: Connection, before: Entity, after: Entity) -> None:
    """Everything that knows an entity by its name follows it to the new one."""
    same = (entities.c.account == before.account) & (entities.c.kind == before.kind.value)
    old = same & (entities.c.name_key == before.name.lower())
    connection.execute(update(entities).where(old).values(**entity_row(after)))
    for table in (inline, attached):
        own = (table.c.account == before.account) & (table.c.kind == before.kind.value)
        changed = update(table).where(own & (table.c.owner == before.name))
        connection.execute(changed.values(owner=after.name))
    column = members.c.group if before.kind is Kind.GROUP else members.c.user
    where = (members.c.account == before.account) & (column == before.name)
    connection.execute(update(members).where(where).values({column.name: after.name}))
    if before.kind is Kind.USER:
        for keys in (access_keys, service_keys):
            own = (keys.c.account == before.account) & (keys.c.user == before.name)
            connection.execute(update(keys).where(own).values(user=after.name))


def alias_of(connection: Connection, account: str) -> str | None:
    row = connection.execute(select(aliases.c.alias).where(aliases.c.account == account)).first()
    return row[0] if row else None


def set_alias(connection: Connection, account: str, alias: str | None) -> None:
    connection.execute(delete(aliases).where(aliases.c.account == account))
    if alias is not None:
        connection.execute(insert(aliases).values(account=account, alias=alias))

"""Agencies' own Cedar policies, and the only SQL about them."""

from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
)

from bastide.db.schema import metadata

policies = Table(
    "policy_cedar",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """A text of one or more policies of one agency."""

    account: str
    name: str
    text: str
    changed_ms: int


def of_account(c: Connection, account: str) -> list[StoredPolicy]:
    query = select(policies).where(policies.c.account == account).order_by(policies.c.name)
    return [StoredPolicy(**row) for row in c.execute(query).mappings()]


def accounts(c: Connection) -> frozenset[str]:
    """Those who have any."""
    return frozenset(account for (account,) in c.execute(select(policies.c.account).distinct()))


def others(c: Connection, account: str, name: str) -> int:
    """How many the agency has beside that of this name."""
    where = (policies.c.account == account) & (policies.c.name != name)
    return int(c.execute(select(func.count()).where(where)).scalar_one())


def put(c: Connection, policy: StoredPolicy) -> None:
    remove(c, policy.account, policy.name)
    values = {column.name: getattr(policy, column.name) for column in policies.c}
    c.execute(insert(policies).values(values))


def remove(c: Connection, account: str, name: str) -> bool:
    where = (policies.c.account == account) & (policies.c.name == name)
    return c.execute(delete(policies).where(where)).rowcount > 0

"""What users and roles were granted to see, by their unique ids, and the only SQL about it."""

from sqlalchemy import BigInteger, Column, Connection, String, Table, Text, delete, insert, select

from bastide.db.schema import metadata
from bastide.identity.model import Clearance

clearances = Table(
    "identity_clearances",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("entity_id", String(32), primary_key=True),
    Column("label", Text, nullable=False),
    Column("granted_ms", BigInteger, nullable=False),
)


def find(c: Connection, account: str, entity_id: str) -> Clearance | None:
    t = clearances.c
    query = select(clearances).where(t.account == account, t.entity_id == entity_id)
    row = c.execute(query).mappings().first()
    return None if row is None else Clearance(**row)


def of_account(c: Connection, account: str) -> list[Clearance]:
    query = select(clearances).where(clearances.c.account == account)
    return [Clearance(**row) for row in c.execute(query).mappings()]


def labels(c: Connection) -> list[str]:
    """Every marking that was granted."""
    return list(c.execute(select(clearances.c.label).distinct()).scalars())


def put(c: Connection, granted: Clearance) -> None:
    remove(c, granted.account, granted.entity_id)
    values = {column.name: getattr(granted, column.name) for column in clearances.c}
    c.execute(insert(clearances).values(values))


def remove(c: Connection, account: str, entity_id: str) -> None:
    t = clearances.c
    c.execute(delete(clearances).where(t.account == account, t.entity_id == entity_id))

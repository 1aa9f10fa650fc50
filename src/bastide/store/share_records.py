"""Which agency may read what of another's, and the only SQL about it."""

from sqlalchemy import BigInteger, Column, Connection, String, Table, Text, delete, insert, select

from bastide.db.schema import metadata
from bastide.store.model import Share

shares = Table(
    "s3_shares",
    metadata,
    Column("alias", String(63), primary_key=True),
    Column("owner", String(12), nullable=False),
    Column("reader", String(12), nullable=False),
    Column("bucket_id", String(36), nullable=False),
    Column("bucket", String(63), nullable=False),
    Column("prefix", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("granted_ms", BigInteger, nullable=False),
)


def find(c: Connection, alias: str) -> Share | None:
    row = c.execute(select(shares).where(shares.c.alias == alias)).mappings().first()
    return None if row is None else Share(**row)


def of_account(c: Connection, account: str) -> list[Share]:
    """What an agency gives and what it gets."""
    t = shares.c
    query = select(shares).where((t.owner == account) | (t.reader == account))
    return sorted((Share(**row) for row in c.execute(query).mappings()), key=lambda s: s.alias)


def labels(c: Connection) -> list[str]:
    """Every marking up to which something is shared."""
    return list(c.execute(select(shares.c.label).distinct()).scalars())


def put(c: Connection, share: Share) -> None:
    c.execute(delete(shares).where(shares.c.alias == share.alias))
    values = {column.name: getattr(share, column.name) for column in shares.c}
    c.execute(insert(shares).values(values))


def remove(c: Connection, owner: str, alias: str) -> Share | None:
    """What was shared until now."""
    found = find(c, alias)
    if found is None or found.owner != owner:
        return None
    c.execute(delete(shares).where(shares.c.alias == alias))
    return found

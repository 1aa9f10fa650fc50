"""The region's keys in the key database, each sealed: nothing of them lies there in the clear."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    bindparam,
    func,
    insert,
    select,
    update,
)

from bastide.db.schema import key_metadata

region_keys = Table(
    "region_keys",
    key_metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("master", String(128), nullable=False),  # which one wrapped it
    Column("wrapped", LargeBinary, nullable=False),
)
families = Table(
    "keks",
    key_metadata,
    Column("stem", String(64), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("changes", BigInteger, nullable=False),  # how often it was written
)
_FIND = select(families.c.sealed, families.c.changes).where(families.c.stem == bindparam("of"))
_REPLACE = (
    update(families)
    .where(families.c.stem == bindparam("of"), families.c.changes == bindparam("had"))
    .values(sealed=bindparam("now"), changes=families.c.changes + 1)
)


@dataclass(frozen=True, slots=True)
class RegionKey:
    version: int
    master: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """A family as it lies there."""

    stem: str
    sealed: bytes
    changes: int


def region_keys_of(c: Connection) -> list[RegionKey]:
    """Oldest first."""
    rows = c.execute(select(region_keys).order_by(region_keys.c.version))
    return [RegionKey(row.version, row.master, row.wrapped) for row in rows]


def add_region_key(c: Connection, key: RegionKey) -> None:
    c.execute(
        insert(region_keys).values(version=key.version, master=key.master, wrapped=key.wrapped)
    )


def rewrap_region_key(c: Connection, key: RegionKey) -> None:
    c.execute(
        update(region_keys)
        .where(region_keys.c.version == key.version)
        .values(master=key.master, wrapped=key.wrapped)
    )


def find(c: Connection, stem: str) -> Sealed | None:
    row = c.execute(_FIND, {"of": stem}).first()
    return None if row is None else Sealed(stem, row.sealed, row.changes)


def add(c: Connection, stem: str, sealed: bytes) -> None:
    c.execute(insert(families).values(stem=stem, sealed=sealed, changes=1))


def replace(c: Connection, had: Sequence[Sealed], sealed: Sequence[bytes]) -> int:
    """Put each in the place of what was there; how many were still as they had been."""
    rows = [
        {"of": old.stem, "had": old.changes, "now": new}
        for old, new in zip(had, sealed, strict=True)
    ]
    return sum(c.execute(_REPLACE, row).rowcount for row in rows)


def count(c: Connection) -> int:
    return c.execute(select(func.count()).select_from(families)).scalar_one()


def page(c: Connection, prefix: str, after: str, limit: int) -> list[Sealed]:
    """Families in order of their stems, which begin with the account."""
    t = families.c
    asked = select(families).where(t.stem > after, t.stem.startswith(prefix))
    rows = c.execute(asked.order_by(t.stem).limit(limit))
    return [Sealed(row.stem, row.sealed, row.changes) for row in rows]

"""Which records of the log were retired, and how far that has come. All SQL about it.

A row is made in the transaction that uses up the approval. From when its record is in the log, and
the file beside it, nobody looks its records up any more; then their bodies go.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    String,
    Table,
    func,
    insert,
    select,
    update,
)

from bastide.audit.records import leaves
from bastide.db import metadata
from bastide.kernel.retirement import Retirement

retirements = Table(
    "audit_retirements",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("newest", String(32), nullable=False),
    Column("hashes_sha256", String(64), nullable=False),
    Column("request", String(36), nullable=False),
    Column("recorded", Boolean, nullable=False),
    Column("done", Boolean, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """A retirement that was approved by `request`."""

    what: Retirement
    request: str
    recorded: bool = False


def end(c: Connection) -> int:
    """Where the retirements that were approved end: the next begins there."""
    return int(c.execute(select(func.coalesce(func.max(retirements.c.size), 0))).scalar_one())


def retired(c: Connection) -> int:
    """Where the records begin that nobody retired: before it, a leaf may be a hash alone."""
    query = select(func.coalesce(func.max(retirements.c.size), 0)).where(retirements.c.recorded)
    return int(c.execute(query).scalar_one())


def unfinished(c: Connection) -> list[Agreed]:
    """Those whose records are not all gone, in order."""
    query = select(retirements).where(~retirements.c.done).order_by(retirements.c.size)
    return [
        Agreed(
            what=Retirement(
                first=row.first, size=row.size, newest=row.newest, hashes_sha256=row.hashes_sha256
            ),
            request=row.request,
            recorded=row.recorded,
        )
        for row in c.execute(query)
    ]


def agree(c: Connection, what: Retirement, request: str) -> None:
    c.execute(
        insert(retirements).values(
            size=what.size, first=what.first, newest=what.newest,
            hashes_sha256=what.hashes_sha256, request=request, recorded=False, done=False,
        )
    )  # fmt: skip


def set_recorded(c: Connection, what: Retirement) -> None:
    c.execute(update(retirements).where(retirements.c.size == what.size).values(recorded=True))


def set_done(c: Connection, what: Retirement) -> None:
    c.execute(update(retirements).where(retirements.c.size == what.size).values(done=True))


def drop_bodies(c: Connection, first: int, size: int, kept: Sequence[int]) -> None:
    """Leave nothing of these records but their places and hashes."""
    gone = leaves.c.index.between(first, size - 1) & leaves.c.index.not_in(list(kept))
    c.execute(
        update(leaves).where(gone).values(body=b"", account="", time_ms=0, closes=None, label="")
    )


def first_younger(c: Connection, first: int, time_ms: int) -> int | None:
    """The index of the first record from `first` on that is not older than a moment."""
    query = select(func.min(leaves.c.index))
    query = query.where(leaves.c.index >= first, leaves.c.time_ms >= time_ms)
    found = c.execute(query).scalar()
    return None if found is None else int(found)


def time_of(c: Connection, index: int) -> int:
    query = select(leaves.c.time_ms).where(leaves.c.index == index)
    return int(c.execute(query).scalar_one())

"""What was made of what, and the only SQL about it."""

from collections.abc import Iterable, Sequence

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
)

from bastide.db.derivations import Thing
from bastide.db.schema import metadata

IN_MAX = 500
_Id = BigInteger().with_variant(Integer(), "sqlite")
derivations = Table(
    "derivations",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("account", String(12), nullable=False),
    Column("arn", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("from_arn", Text, nullable=False),
    Column("from_label", Text, nullable=False),  # "": it is not known (yet)
    Index("ix_derivations_arn", "account", "arn"),
)


def put(c: Connection, account: str, made: Thing, sources: Iterable[Thing]) -> None:
    """Replaces what is written of `made`: of a thing of that name and label that was before it."""
    d = derivations.c
    mine = (d.account == account) & (d.arn == _kept(made.arn)) & (d.label == made.label)
    c.execute(delete(derivations).where(mine))
    whole = {"account": account, "arn": _kept(made.arn), "label": made.label}
    rows = [{**whole, "from_arn": _kept(one.arn), "from_label": one.label} for one in sources]
    if rows:
        c.execute(insert(derivations), rows)


def is_known(c: Connection, account: str, made: Thing) -> bool:
    """Whether it is written of `made` what it is of."""
    d = derivations.c
    mine = (d.account == account) & (d.arn == _kept(made.arn)) & (d.label == made.label)
    return c.execute(select(d.id).where(mine).limit(1)).first() is not None


def gathered(c: Connection, account: str, parts: Sequence[Thing]) -> list[Thing]:
    """All that parts are of, each once; it is written of them no more. `parts` have one label."""
    found: dict[Thing, None] = {}
    for start in range(0, len(parts), IN_MAX):
        some = parts[start : start + IN_MAX]
        known = sources_of(c, account, [part.arn for part in some])
        found |= {of: None for part, of in known if part.label == some[0].label}
        if known:
            d = derivations.c
            mine = (d.account == account) & (d.label == some[0].label)
            c.execute(delete(derivations).where(mine, d.arn.in_([part.arn for part in some])))
    return list(found)


def sources_of(c: Connection, account: str, arns: Sequence[str]) -> list[tuple[Thing, Thing]]:
    """(made, of what), for every label of those ARNs."""
    d = derivations.c
    asked = (
        select(derivations).where(d.account == account, d.arn.in_(map(_kept, arns))).order_by(d.id)
    )
    return [
        (Thing(row.arn, row.label), Thing(row.from_arn, row.from_label)) for row in c.execute(asked)
    ]


def made_below(c: Connection, account: str, prefix: str, limit: int) -> list[Thing]:
    """What was made under names that go on from a prefix."""
    d = derivations.c
    below = d.arn.startswith(_kept(prefix), autoescape=True) & (d.arn != _kept(prefix))
    asked = select(d.arn, d.label).where(d.account == account, below).distinct()
    rows = c.execute(asked.order_by(d.arn, d.label).limit(limit))
    return [Thing(row.arn, row.label) for row in rows]


def _kept(arn: str) -> str:
    """A zero, which PostgreSQL keeps in no text and S3 takes in a key, is written as its sign."""
    return arn.replace("\0", "\N{SYMBOL FOR NULL}")

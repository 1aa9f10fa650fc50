"""Samples of metrics. Every question names the account and the labels that are seen."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    insert,
    or_,
    select,
)

from bastide.db.schema import metadata
from bastide.kernel.labels.view import View
from bastide.logs.model import Sample

_Id = BigInteger().with_variant(Integer(), "sqlite")
samples = Table(
    "metric_samples",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("account", String(12), nullable=False),
    Column("label", Text, nullable=False),
    Column("namespace", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("dimensions", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("unit", String(32), nullable=False),
    Column("count", Float(53), nullable=False),
    Column("total", Float(53), nullable=False),
    Column("minimum", Float(53), nullable=False),
    Column("maximum", Float(53), nullable=False),
    Index("ix_metric_samples_which", "account", "namespace", "name", "at_ms"),
)
SAMPLES_MAX = 500_000  # that one question may look at


def canonical(dimensions: Mapping[str, str]) -> str:
    return json.dumps(dict(sorted(dimensions.items())), separators=(",", ":"), ensure_ascii=True)


def add(c: Connection, many: Sequence[Sample]) -> None:
    fields = [column.name for column in samples.columns if column.name != "id"]
    c.execute(insert(samples), [{name: getattr(one, name) for name in fields} for one in many])


def between(
    c: Connection, account: str, metric: tuple[str, str, str], span_ms: tuple[int, int], view: View
) -> list[Sample]:
    """Of `(namespace, name, canonical dimensions)`, oldest first."""
    rows = c.execute(
        select(samples)
        .where(
            samples.c.account == account,
            samples.c.label.in_(view.seen),
            samples.c.namespace == metric[0],
            samples.c.name == metric[1],
            samples.c.dimensions == metric[2],
            samples.c.at_ms >= span_ms[0],
            samples.c.at_ms < span_ms[1],
        )
        .order_by(samples.c.at_ms)
        .limit(SAMPLES_MAX)
    )
    return [_sample(row) for row in rows]


def distinct(  # noqa: PLR0913 - a query's clauses
    c: Connection,
    account: str,
    view: View,
    namespace: str | None,
    name: str | None,
    beyond: tuple[str, str, str] | None,
    limit: int,
) -> list[tuple[str, str, str]]:
    """`(namespace, name, dimensions)` in order, after `beyond`."""
    s = samples.c
    asked = select(s.namespace, s.name, s.dimensions).distinct()
    asked = asked.where(s.account == account, s.label.in_(view.seen))
    if namespace:
        asked = asked.where(s.namespace == namespace)
    if name:
        asked = asked.where(s.name == name)
    if beyond:
        first, second, third = beyond
        asked = asked.where(
            or_(
                s.namespace > first,
                (s.namespace == first) & (s.name > second),
                (s.namespace == first) & (s.name == second) & (s.dimensions > third),
            )
        )
    rows = c.execute(asked.order_by(s.namespace, s.name, s.dimensions).limit(limit))
    return [(row.namespace, row.name, row.dimensions) for row in rows]


def _sample(row: Any) -> Sample:
    return Sample(
        account=row.account,
        label=row.label,
        namespace=row.namespace,
        name=row.name,
        dimensions=row.dimensions,
        at_ms=row.at_ms,
        unit=row.unit,
        count=row.count,
        total=row.total,
        minimum=row.minimum,
        maximum=row.maximum,
    )

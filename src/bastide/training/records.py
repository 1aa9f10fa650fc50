"""Training jobs as they were asked for, what they said, and the tags of SageMaker's resources."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from bastide.db import named
from bastide.db.named import Listing
from bastide.db.schema import metadata
from bastide.kernel.labels.view import View

training_jobs = Table(
    "training_jobs",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("label", String(1024), primary_key=True),
    Column("arn", String(256), nullable=False),
    Column("job_id", String(512), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("failure", Text, nullable=False),  # what the job left in /opt/ml/output/failure
    Column("artifact", Text, nullable=False),  # the S3 URI of its model, once it is there
    Index("ix_training_jobs_arn", "account", "arn"),
    Index("ix_training_jobs_job_id", "job_id"),
)
final_metrics = Table(
    "training_metrics",
    metadata,
    Column("job_id", String(512), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", Float(53), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
resource_tags = Table(
    "sagemaker_tags",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("arn", String(256), primary_key=True),
    Column("label", String(1024), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("value", String(256), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """One training job. `request` is what CreateTrainingJob was given; `job_id` is the runner's:
    what is known of the job alone goes by it."""

    account: str
    name: str
    label: str
    arn: str
    job_id: str
    status: str
    created_ms: int
    changed_ms: int
    request: Mapping[str, Any]
    failure: str = ""
    artifact: str = ""


def find(c: Connection, account: str, name: str, view: View) -> TrainingRow | None:
    row = named.found(c, training_jobs, account, name, view)
    return None if row is None else _row(row)


def failure_of(c: Connection, job_id: str) -> str:
    """What the job left as the reason of its failure."""
    t = training_jobs.c
    return c.execute(select(t.failure).where(t.job_id == job_id)).scalar() or ""


def add(c: Connection, new: TrainingRow) -> bool:
    """False if the name is taken."""
    if named.is_taken(c, training_jobs, new.account, new.arn, new.label):
        return False
    values = {column.name: getattr(new, column.name) for column in training_jobs.columns}
    c.execute(insert(training_jobs).values({**values, "request": json.dumps(new.request)}))
    return True


def set_status(c: Connection, job_id: str, status: str, now_ms: int) -> None:
    _set(c, job_id, status=status, changed_ms=now_ms)


def set_failure(c: Connection, job_id: str, failure: str) -> None:
    _set(c, job_id, failure=failure)


def set_artifact(c: Connection, job_id: str, uri: str) -> None:
    _set(c, job_id, artifact=uri)


def _set(c: Connection, job_id: str, **values: Any) -> None:
    c.execute(update(training_jobs).where(training_jobs.c.job_id == job_id).values(**values))


def listed(c: Connection, account: str, page: Listing, view: View) -> list[TrainingRow]:
    return [_row(row) for row in named.listed(c, training_jobs, account, page, view)]


def put_metric(c: Connection, job_id: str, name: str, value: float, at_ms: int) -> None:
    """The last value wins."""
    m = final_metrics.c
    mine = (m.job_id == job_id) & (m.name == name)
    if not c.execute(update(final_metrics).where(mine).values(value=value, at_ms=at_ms)).rowcount:
        row = {"job_id": job_id, "name": name, "value": value, "at_ms": at_ms}
        c.execute(insert(final_metrics).values(row))


def metrics_of(c: Connection, job_id: str) -> list[tuple[str, float, int]]:
    m = final_metrics.c
    rows = c.execute(select(final_metrics).where(m.job_id == job_id).order_by(m.name))
    return [(row.name, row.value, row.at_ms) for row in rows]


def tags_of(c: Connection, account: str, arn: str, label: str) -> dict[str, str]:
    asked = select(resource_tags).where(*_tagged(account, arn, label))
    return {row.key: row.value for row in c.execute(asked.order_by(resource_tags.c.key))}


def set_tags(c: Connection, account: str, arn: str, label: str, tags: Mapping[str, str]) -> None:
    """Replaces all of them."""
    drop_tags(c, account, arn, label)
    where = {"account": account, "arn": arn, "label": label}
    rows = [{**where, "key": key, "value": value} for key, value in tags.items()]
    if rows:
        c.execute(insert(resource_tags), rows)


def drop_tags(c: Connection, account: str, arn: str, label: str) -> None:
    c.execute(delete(resource_tags).where(*_tagged(account, arn, label)))


def _tagged(account: str, arn: str, label: str) -> tuple[ColumnElement[bool], ...]:
    t = resource_tags.c
    return t.account == account, t.arn == arn, t.label == label


def _row(row: Any) -> TrainingRow:
    fields = {field: getattr(row, field) for field in TrainingRow.__slots__}
    return TrainingRow(**{**fields, "request": json.loads(row.request)})

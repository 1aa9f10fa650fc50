"""Training jobs as they were asked for, what they said, and the tags of SageMaker's resources."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
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

training_jobs = Table(
    "training_jobs",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("arn", String(256), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("failure", Text, nullable=False),  # what the job left in /opt/ml/output/failure
    Column("artifact", Text, nullable=False),  # the S3 URI of its model, once it is there
    Index("ix_training_jobs_arn", "account", "arn"),
)
final_metrics = Table(
    "training_metrics",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("job", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", Float(53), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
resource_tags = Table(
    "sagemaker_tags",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("arn", String(256), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("value", String(256), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """One training job. `request` is what CreateTrainingJob was given."""

    account: str
    name: str
    arn: str
    status: str
    created_ms: int
    changed_ms: int
    request: Mapping[str, Any]
    failure: str = ""
    artifact: str = ""


def find(c: Connection, account: str, name: str) -> TrainingRow | None:
    t = training_jobs.c
    row = c.execute(select(training_jobs).where(t.account == account, t.name == name)).first()
    return None if row is None else _row(row)


def add(c: Connection, new: TrainingRow) -> bool:
    """False if the name is taken."""
    if named.exists(c, training_jobs, new.account, new.arn):
        return False
    values = {
        "account": new.account,
        "name": new.name,
        "arn": new.arn,
        "status": new.status,
        "created_ms": new.created_ms,
        "changed_ms": new.changed_ms,
        "request": json.dumps(new.request),
        "failure": new.failure,
        "artifact": new.artifact,
    }
    c.execute(insert(training_jobs).values(values))
    return True


def set_status(c: Connection, account: str, name: str, status: str, now_ms: int) -> None:
    _set(c, account, name, status=status, changed_ms=now_ms)


def set_failure(c: Connection, account: str, name: str, failure: str) -> None:
    _set(c, account, name, failure=failure)


def set_artifact(c: Connection, account: str, name: str, uri: str) -> None:
    _set(c, account, name, artifact=uri)


def _set(c: Connection, account: str, name: str, **values: Any) -> None:
    t = training_jobs.c
    mine = (t.account == account) & (t.name == name)
    c.execute(update(training_jobs).where(mine).values(**values))


def listed(c: Connection, account: str, page: Listing) -> list[TrainingRow]:
    return [_row(row) for row in named.listed(c, training_jobs, account, page)]


def put_metric(c: Connection, account: str, job: str, name: str, value: float, at_ms: int) -> None:
    """The last value wins."""
    m = final_metrics.c
    mine = (m.account == account) & (m.job == job) & (m.name == name)
    if not c.execute(update(final_metrics).where(mine).values(value=value, at_ms=at_ms)).rowcount:
        row = {"account": account, "job": job, "name": name, "value": value, "at_ms": at_ms}
        c.execute(insert(final_metrics).values(row))


def metrics_of(c: Connection, account: str, job: str) -> list[tuple[str, float, int]]:
    m = final_metrics.c
    rows = c.execute(
        select(final_metrics).where(m.account == account, m.job == job).order_by(m.name)
    )
    return [(row.name, row.value, row.at_ms) for row in rows]


def tags_of(c: Connection, account: str, arn: str) -> dict[str, str]:
    t = resource_tags.c
    asked = select(resource_tags).where(t.account == account, t.arn == arn).order_by(t.key)
    return {row.key: row.value for row in c.execute(asked)}


def set_tags(c: Connection, account: str, arn: str, tags: Mapping[str, str]) -> None:
    """Replaces all of them."""
    drop_tags(c, account, arn)
    rows = [
        {"account": account, "arn": arn, "key": key, "value": value} for key, value in tags.items()
    ]
    if rows:
        c.execute(insert(resource_tags), rows)


def drop_tags(c: Connection, account: str, arn: str) -> None:
    t = resource_tags.c
    c.execute(delete(resource_tags).where(t.account == account, t.arn == arn))


def _row(row: Any) -> TrainingRow:
    return TrainingRow(
        account=row.account,
        name=row.name,
        arn=row.arn,
        status=row.status,
        created_ms=row.created_ms,
        changed_ms=row.changed_ms,
        request=json.loads(row.request),
        failure=row.failure,
        artifact=row.artifact,
    )

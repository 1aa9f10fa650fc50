"""Models that agencies brought, and the jobs that brought them."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from bastide.db.schema import metadata
from bastide.kernel.labels.view import View


class Status(StrEnum):
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """`model` is the id that its model will have. `licence` is what its maker says of the files
    that say none."""

    id: str
    account: str
    label: str
    name: str
    model: str
    model_name: str
    role_arn: str
    source: str
    created_ms: int
    updated_ms: int
    status: Status = Status.IN_PROGRESS
    failure: str = ""
    attempts: int = 0
    ended_ms: int | None = None
    licence: str = ""
    token: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    model_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel:
    """`files`: the sha256 of each file as it was brought; `sha256` is that of what is run."""

    id: str
    account: str
    label: str
    name: str
    job: str
    job_name: str
    source: str
    sha256: str
    size: int
    architecture: str
    context_tokens: int
    kv_bytes_per_token: int
    licence: str
    instruct: bool
    created_ms: int
    files: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


jobs = Table(
    "model_import_jobs",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("name", String(63), nullable=False),
    Column("model", String(12), nullable=False),
    Column("model_name", String(63), nullable=False),
    Column("role_arn", String(2048), nullable=False),
    Column("source", String(1024), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("failure", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("ended_ms", BigInteger),
    Column("licence", String(256), nullable=False),
    Column("token", String(256), nullable=False),
    Column("tags", Text, nullable=False),
    Column("model_tags", Text, nullable=False),
    Index("ix_model_import_jobs_account", "account", "created_ms"),
)
models = Table(
    "imported_models",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("name", String(63), nullable=False),
    Column("job", String(12), nullable=False),
    Column("job_name", String(63), nullable=False),
    Column("source", String(1024), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("architecture", String(32), nullable=False),
    Column("context_tokens", BigInteger, nullable=False),
    Column("kv_bytes_per_token", BigInteger, nullable=False),
    Column("licence", String(256), nullable=False),
    Column("instruct", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("files", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Index("ix_imported_models_account", "account", "created_ms"),
)
_MAPS = ("tags", "model_tags", "files")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows of a list, newest first unless `oldest_first`. `after` is the place of the last
    one of the page before."""

    contains: str = ""
    status: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    oldest_first: bool = False
    after: tuple[int, str] | None = None
    limit: int = 100

    def takes(self, row: Any) -> bool:
        """Of rows that are few enough to be read whole, in the order that is asked for."""
        at = (row.created_ms, row.id)
        if self.after is not None and (at <= self.after if self.oldest_first else at >= self.after):
            return False
        since, until = self.since_ms, self.until_ms
        return (
            self.contains in row.name
            and self.status in ("", row.status)
            and (since is None or row.created_ms >= since)
            and (until is None or row.created_ms <= until)
        )


def add_job(c: Connection, new: ImportJob) -> bool:
    """False if the label has a job of that name, or a model of its model's name."""
    for table, name in ((jobs, new.name), (models, new.model_name)):
        if _named(c, table, new.account, new.label, name):
            return False
    mine = _mine(jobs, new.account, (new.label,))
    coming = mine & (jobs.c.model_name == new.model_name) & (jobs.c.status == Status.IN_PROGRESS)
    if c.execute(select(jobs.c.id).where(coming).limit(1)).first() is not None:
        return False
    c.execute(insert(jobs).values(_values(new)))
    return True


def job_of_token(c: Connection, account: str, label: str, token: str) -> ImportJob | None:
    mine = _mine(jobs, account, (label,)) & (jobs.c.token == token)
    row = c.execute(select(jobs).where(mine).limit(1)).first()
    return None if row is None else _job(row)


def count_jobs(c: Connection, account: str, label: str, *, unfinished: bool = False) -> int:
    mine = _mine(jobs, account, (label,))
    if unfinished:
        mine &= jobs.c.status == Status.IN_PROGRESS
    return c.execute(select(func.count()).select_from(jobs).where(mine)).scalar_one()


def forget_jobs(c: Connection, account: str, label: str, kept: int) -> None:
    """The oldest of those that have ended, beyond so many."""
    t = jobs.c
    ended = _mine(jobs, account, (label,)) & (t.status != Status.IN_PROGRESS)
    old = select(t.id).where(ended).order_by(t.created_ms.desc(), t.id).offset(kept).limit(1000)
    found = [row.id for row in c.execute(old)]
    if found:
        c.execute(delete(jobs).where(t.id.in_(found)))


def find_job(
    c: Connection, account: str, named: str, view: View, *, by_id: bool
) -> ImportJob | None:
    row = _find(c, jobs, account, named, view, by_id=by_id)
    return None if row is None else _job(row)


def list_jobs(c: Connection, account: str, view: View, wanted: Wanted) -> list[ImportJob]:
    return [_job(row) for row in _page(c, jobs, account, view, wanted)]


def unfinished(c: Connection) -> list[ImportJob]:
    """The oldest first."""
    t = jobs.c
    going = select(jobs).where(t.status == Status.IN_PROGRESS).order_by(t.created_ms, t.id)
    return [_job(row) for row in c.execute(going)]


def begin(c: Connection, id_: str, now_ms: int) -> ImportJob | None:
    """One more try; None where it is no longer in progress."""
    t = jobs.c
    going = (t.id == id_) & (t.status == Status.IN_PROGRESS)
    c.execute(update(jobs).where(going).values(attempts=t.attempts + 1, updated_ms=now_ms))
    row = c.execute(select(jobs).where(going)).first()
    return None if row is None else _job(row)


def unbegin(c: Connection, id_: str) -> None:
    """It waits: that was no try."""
    t = jobs.c
    c.execute(update(jobs).where((t.id == id_) & (t.attempts > 0)).values(attempts=t.attempts - 1))


def end_job(c: Connection, job: ImportJob, status: Status, failure: str, now_ms: int) -> bool:
    """False where it had ended: what has ended stays."""
    t = jobs.c
    going = (t.id == job.id) & (t.status == Status.IN_PROGRESS)
    values = {"status": status, "failure": failure, "updated_ms": now_ms, "ended_ms": now_ms}
    return c.execute(update(jobs).where(going).values(values)).rowcount == 1


def add_model(c: Connection, new: ImportedModel) -> None:
    c.execute(insert(models).values(_values(new)))


def find_model(
    c: Connection, account: str, named: str, view: View, *, by_id: bool
) -> ImportedModel | None:
    row = _find(c, models, account, named, view, by_id=by_id)
    return None if row is None else _model(row)


def count_models(c: Connection, account: str, label: str) -> int:
    mine = _mine(models, account, (label,))
    return c.execute(select(func.count()).select_from(models).where(mine)).scalar_one()


def list_models(c: Connection, account: str, view: View, wanted: Wanted) -> list[ImportedModel]:
    return [_model(row) for row in _page(c, models, account, view, wanted)]


def known_models(c: Connection) -> set[tuple[str, str]]:
    """(account, id) of every model that is there or on its way."""
    here = {(row.account, row.id) for row in c.execute(select(models.c.account, models.c.id))}
    return here | {(job.account, job.model) for job in unfinished(c)}


def of_label(c: Connection, account: str, label: str) -> set[str]:
    """The id of every model that is there or on its way."""
    here = c.execute(select(models.c.id).where(_mine(models, account, (label,)))).scalars()
    going = _mine(jobs, account, (label,)) & (jobs.c.status == Status.IN_PROGRESS)
    return {*here, *c.execute(select(jobs.c.model).where(going)).scalars()}


def forget_models(c: Connection, account: str, ids: Collection[str], why: str, now_ms: int) -> None:
    """The models, and the jobs that would bring them."""
    values = {"status": Status.FAILED, "failure": why, "updated_ms": now_ms, "ended_ms": now_ms}
    for id_ in ids:
        mine = (jobs.c.account == account) & (jobs.c.model == id_)
        going = mine & (jobs.c.status == Status.IN_PROGRESS)
        c.execute(update(jobs).where(going).values(values))
        remove_model(c, account, id_)


def remove_model(c: Connection, account: str, id_: str) -> None:
    c.execute(delete(models).where((models.c.account == account) & (models.c.id == id_)))


def set_tags(c: Connection, table: Table, account: str, id_: str, tags: Mapping[str, str]) -> None:
    mine = (table.c.account == account) & (table.c.id == id_)
    c.execute(update(table).where(mine).values(tags=json.dumps(dict(tags))))


def _mine(table: Table, account: str, labels: Sequence[str]) -> ColumnElement[bool]:
    return (table.c.account == account) & table.c.label.in_(labels)


def _named(c: Connection, table: Table, account: str, label: str, name: str) -> bool:
    mine = _mine(table, account, (label,)) & (table.c.name == name)
    return c.execute(select(table.c.id).where(mine).limit(1)).first() is not None


def _find(c: Connection, table: Table, account: str, named: str, view: View, *, by_id: bool) -> Any:
    """By its id, or by its name: of several, that of the viewer's own label, else the newest."""
    t = table.c
    mine = _mine(table, account, view.seen) & ((t.id if by_id else t.name) == named)
    order = ((t.label == view.own).desc(), t.created_ms.desc(), t.id)
    return c.execute(select(table).where(mine).order_by(*order).limit(1)).first()


def _page(c: Connection, table: Table, account: str, view: View, wanted: Wanted) -> list[Any]:
    t = table.c
    mine = _mine(table, account, view.seen)
    if wanted.contains:
        mine &= t.name.contains(wanted.contains, autoescape=True)
    if wanted.status:
        mine &= t.status == wanted.status
    if wanted.since_ms is not None:
        mine &= t.created_ms >= wanted.since_ms
    if wanted.until_ms is not None:
        mine &= t.created_ms <= wanted.until_ms
    at, id_ = wanted.after or (0, "")
    if wanted.after and wanted.oldest_first:
        mine &= (t.created_ms > at) | ((t.created_ms == at) & (t.id > id_))
    elif wanted.after:
        mine &= (t.created_ms < at) | ((t.created_ms == at) & (t.id < id_))
    order = (t.created_ms, t.id) if wanted.oldest_first else (t.created_ms.desc(), t.id.desc())
    return list(c.execute(select(table).where(mine).order_by(*order).limit(wanted.limit)))


def _values(row: ImportJob | ImportedModel) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in type(row).__slots__}
    return {
        name: json.dumps(dict(value)) if name in _MAPS else value for name, value in found.items()
    }


def _read(kind: Any, row: Any) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in kind.__slots__}
    return {name: json.loads(value) if name in _MAPS else value for name, value in found.items()}


def _job(row: Any) -> ImportJob:
    found = ImportJob(**_read(ImportJob, row))
    return replace(found, status=Status(found.status))


def _model(row: Any) -> ImportedModel:
    return ImportedModel(**_read(ImportedModel, row))

"""Knowledge bases, sources, jobs and documents. Every question names the account first, and the
labels that its session sees; the passages themselves are in the index."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    LargeBinary,
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
from bastide.knowledge.model import (
    ENDED,
    BaseRow,
    BaseStatus,
    Document,
    DocumentStatus,
    Job,
    JobStatus,
    Source,
    SourceStatus,
    Statistics,
)

bases = Table(
    "knowledge_bases",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("id", String(10), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("arn", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
)
sources = Table(
    "knowledge_sources",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("base", String(10), primary_key=True),
    Column("id", String(10), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("label", String(1024), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
)
jobs = Table(
    "knowledge_jobs",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("base", String(10), primary_key=True),
    Column("source", String(10), primary_key=True),
    Column("id", String(10), primary_key=True),
    Column("label", String(1024), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("started_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("description", String(200), nullable=False),
    Column("statistics", Text, nullable=False),
    Column("failures", Text, nullable=False),
)
documents = Table(
    "knowledge_documents",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("base", String(10), primary_key=True),
    Column("source", String(10), primary_key=True),
    Column("key", String(64), primary_key=True),  # the sha256 of the uri, which may be long
    Column("label", String(1024), primary_key=True),
    Column("uri", Text, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("status", String(16), nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("sidecar", String(64), nullable=False),
    Column("job", String(10), nullable=False),
    Column("waiting", LargeBinary, nullable=True),  # sealed: what was handed in and is not read yet
    Index("ix_knowledge_documents_status", "status"),
)
sessions = Table(
    "knowledge_sessions",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("id", String(100), primary_key=True),
    Column("label", String(1024), primary_key=True),
    Column("updated_ms", BigInteger, nullable=False, index=True),
    Column("turns", LargeBinary, nullable=False),  # sealed: what was asked and answered
)


def add_base(c: Connection, new: BaseRow, view: View) -> bool:
    """False if one that the session sees has the name."""
    t = bases.c
    taken = (t.account == new.account) & (t.name == new.name) & t.label.in_(view.seen)
    if c.execute(select(t.id).where(taken).limit(1)).first() is not None:
        return False
    c.execute(insert(bases).values(_values(new)))
    return True


def find_base(c: Connection, account: str, id_: str, view: View) -> BaseRow | None:
    t = bases.c
    asked = select(bases).where(t.account == account, t.id == id_, t.label.in_(view.seen))
    row = c.execute(asked).first()
    return None if row is None else _base(row)


def base_of(c: Connection, account: str, id_: str) -> BaseRow | None:
    """For the region's own work."""
    row = c.execute(select(bases).where(bases.c.account == account, bases.c.id == id_)).first()
    return None if row is None else _base(row)


def list_bases(c: Connection, account: str, view: View, after: str, limit: int) -> list[BaseRow]:
    t = bases.c
    where = (t.account == account, t.label.in_(view.seen), t.id > after)
    return [_base(row) for row in c.execute(_page(bases, where, limit))]


def count_bases(c: Connection, account: str, view: View) -> int:
    t = bases.c
    asked = select(func.count()).where(t.account == account, t.label.in_(view.seen))
    return int(c.execute(asked).scalar_one())


def save_base(c: Connection, changed: BaseRow) -> None:
    t = bases.c
    mine = (t.account == changed.account, t.id == changed.id)
    c.execute(update(bases).where(*mine).values(_values(changed)))


def drop_base(c: Connection, account: str, id_: str) -> None:
    """With all that belongs to it, at whatever label."""
    for table in (documents, jobs, sources):
        c.execute(delete(table).where(table.c.account == account, table.c.base == id_))
    c.execute(delete(bases).where(bases.c.account == account, bases.c.id == id_))


def add_source(c: Connection, new: Source, view: View) -> bool:
    """False if one of its knowledge base that the session sees has the name."""
    t = sources.c
    mine = (t.account == new.account) & (t.base == new.base) & (t.name == new.name)
    if c.execute(select(t.id).where(mine, t.label.in_(view.seen)).limit(1)).first() is not None:
        return False
    c.execute(insert(sources).values(_values(new)))
    return True


def find_source(c: Connection, account: str, base: str, id_: str, view: View) -> Source | None:
    t = sources.c
    mine = (t.account == account, t.base == base, t.id == id_, t.label.in_(view.seen))
    row = c.execute(select(sources).where(*mine)).first()
    return None if row is None else _source(row)


def source_of(c: Connection, account: str, base: str, id_: str) -> Source | None:
    """For the region's own work."""
    t = sources.c
    mine = (t.account == account, t.base == base, t.id == id_)
    row = c.execute(select(sources).where(*mine)).first()
    return None if row is None else _source(row)


def list_sources(c: Connection, base: BaseRow, view: View, after: str, limit: int) -> list[Source]:
    t = sources.c
    where = (t.account == base.account, t.base == base.id, t.label.in_(view.seen), t.id > after)
    return [_source(row) for row in c.execute(_page(sources, where, limit))]


def save_source(c: Connection, changed: Source) -> None:
    t = sources.c
    mine = (t.account == changed.account, t.base == changed.base, t.id == changed.id)
    c.execute(update(sources).where(*mine).values(_values(changed)))


def drop_source(c: Connection, gone: Source) -> None:
    for table in (documents, jobs):
        where = (table.c.account == gone.account, table.c.base == gone.base)
        c.execute(delete(table).where(*where, table.c.source == gone.id))
    t = sources.c
    itself = (t.account == gone.account, t.base == gone.base, t.id == gone.id)
    c.execute(delete(sources).where(*itself))


def add_job(c: Connection, new: Job) -> bool:
    """False while another of its source and label goes on."""
    t = jobs.c
    mine = (t.account == new.account, t.base == new.base, t.source == new.source)
    going = t.status.not_in(sorted(ENDED))
    if c.execute(select(t.id).where(*mine, t.label == new.label, going).limit(1)).first():
        return False
    c.execute(insert(jobs).values(_job_values(new)))
    return True


def find_job(c: Connection, source: Source, id_: str, view: View) -> Job | None:
    t = jobs.c
    where = (t.id == id_, t.label.in_(view.seen))
    row = c.execute(select(jobs).where(*_of_source(jobs, source), *where)).first()
    return None if row is None else _job(row)


def list_jobs(c: Connection, source: Source, view: View) -> list[Job]:
    """All that a session sees; a source has few."""
    asked = select(jobs).where(*_of_source(jobs, source), jobs.c.label.in_(view.seen))
    return [_job(row) for row in c.execute(asked.order_by(jobs.c.started_ms, jobs.c.id))]


def job_of(c: Connection, job: Job) -> Job | None:
    """As it is now."""
    row = c.execute(select(jobs).where(*_is_job(job))).first()
    return None if row is None else _job(row)


def save_job(c: Connection, job: Job) -> None:
    c.execute(update(jobs).where(*_is_job(job)).values(_job_values(job)))


def forget_jobs(c: Connection, source: Source, label: str, keep: int) -> None:
    """All but the newest that have ended."""
    t = jobs.c
    mine = (*_of_source(jobs, source), t.label == label, t.status.in_(sorted(ENDED)))
    old = select(t.id).where(*mine).order_by(t.started_ms.desc(), t.id).offset(keep).limit(100)
    gone = list(c.execute(old).scalars())
    if gone:
        c.execute(delete(jobs).where(*mine, t.id.in_(gone)))


def unfinished(c: Connection) -> list[Job]:
    """Every job that goes on, whoever started it."""
    asked = select(jobs).where(jobs.c.status.not_in(sorted(ENDED)))
    return [_job(row) for row in c.execute(asked.order_by(jobs.c.started_ms, jobs.c.id))]


def deleting_bases(c: Connection) -> list[BaseRow]:
    asked = select(bases).where(bases.c.status == BaseStatus.DELETING)
    return [_base(row) for row in c.execute(asked)]


def deleting_sources(c: Connection) -> list[Source]:
    asked = select(sources).where(sources.c.status == SourceStatus.DELETING)
    return [_source(row) for row in c.execute(asked)]


def put_document(c: Connection, key: str, document: Document, waiting: bytes | None = None) -> None:
    values = {**asdict(document), "key": key, "waiting": waiting}
    t = documents.c
    where = (*_is_in(document), t.key == key, t.label == document.label)
    if not c.execute(update(documents).where(*where).values(values)).rowcount:
        c.execute(insert(documents).values(values))


def settle_document(c: Connection, key: str, before: Document, after: Document) -> bool:
    """False if it is not as it was any more: it was handed in again, or taken out."""
    t = documents.c
    where = (*_is_in(before), t.key == key, t.label == before.label)
    same = (t.updated_ms == before.updated_ms, t.status == before.status)
    values = {**asdict(after), "waiting": None}
    return c.execute(update(documents).where(*where, *same).values(values)).rowcount > 0


def drop_deleted(c: Connection, key: str, gone: Document) -> None:
    """Unless it was handed in again meanwhile."""
    t = documents.c
    where = (*_is_in(gone), t.key == key, t.label == gone.label)
    c.execute(delete(documents).where(*where, t.status == DocumentStatus.DELETING))


def drop_document(c: Connection, key: str, document: Document) -> bool:
    t = documents.c
    where = (*_is_in(document), t.key == key, t.label == document.label)
    return c.execute(delete(documents).where(*where)).rowcount > 0


def find_documents(c: Connection, source: Source, key: str, view: View) -> list[Document]:
    """Of that key, at every label that the session sees."""
    t = documents.c
    where = (*_of_source(documents, source), t.key == key, t.label.in_(view.seen))
    return [_document(row) for row in c.execute(select(documents).where(*where))]


def list_documents(
    c: Connection, source: Source, view: View, after: tuple[str, str], limit: int
) -> list[Document]:
    """By key and label."""
    t = documents.c
    key, label = after
    beyond = (t.key > key) | ((t.key == key) & (t.label > label))
    where = (*_of_source(documents, source), t.label.in_(view.seen), beyond)
    asked = select(documents).where(*where).order_by(t.key, t.label).limit(limit)
    return [_document(row) for row in c.execute(asked)]


def count_documents(c: Connection, account: str, base: str, label: str) -> int:
    t = documents.c
    mine = (t.account == account, t.base == base, t.label == label)
    return int(c.execute(select(func.count()).where(*mine)).scalar_one())


def all_documents(
    c: Connection, source: Source, after: tuple[str, str], limit: int
) -> list[tuple[str, str, str]]:
    """Key, URI and label of its documents, whoever sees them: for the end of a source."""
    t = documents.c
    key, label = after
    beyond = (t.key > key) | ((t.key == key) & (t.label > label))
    asked = select(t.key, t.uri, t.label).where(*_of_source(documents, source), beyond)
    rows = c.execute(asked.order_by(t.key, t.label).limit(limit))
    return [(row.key, row.uri, row.label) for row in rows]


def waiting(c: Connection, limit: int) -> list[Document]:
    """What was handed in or is to be taken out: of each agency and label so many, the oldest
    first. Nobody's lies behind another's, and none behind what is above it."""
    t = documents.c
    todo = t.status.in_([DocumentStatus.PENDING, DocumentStatus.DELETING])
    found: list[Document] = []
    for account, label in c.execute(select(t.account, t.label).where(todo).distinct()).all():
        asked = select(documents).where(todo, t.account == account, t.label == label)
        oldest = asked.order_by(t.updated_ms, t.key).limit(limit)
        found += [_document(row) for row in c.execute(oldest)]
    return found


def count_waiting(c: Connection, account: str, label: str) -> int:
    """Of one label: how many wait above is told to nobody below."""
    t = documents.c
    where = (t.account == account, t.label == label, t.status == DocumentStatus.PENDING)
    return int(c.execute(select(func.count()).where(*where)).scalar_one())


def waiting_of(c: Connection, key: str, document: Document) -> bytes | None:
    """What was handed in as that document, sealed; None once another took its place."""
    t = documents.c
    where = (*_is_in(document), t.key == key, t.label == document.label)
    asked = select(t.waiting).where(*where, t.updated_ms == document.updated_ms)
    found = c.execute(asked).scalar()
    return None if found is None else bytes(found)


def session_of(c: Connection, account: str, id_: str, label: str, since_ms: int) -> bytes | None:
    t = sessions.c
    where = (t.account == account, t.id == id_, t.label == label, t.updated_ms >= since_ms)
    found = c.execute(select(t.turns).where(*where)).scalar()
    return None if found is None else bytes(found)


def keep_session(
    c: Connection,
    where: tuple[str, str, str],
    now_ms: int,
    turns: bytes,
    *,
    keep: tuple[int, int],
) -> None:
    """In place of what it was. `keep`: since when, and how many of an account."""
    account, id_, label = where
    since_ms, count = keep
    t = sessions.c
    c.execute(delete(sessions).where(t.account == account, t.updated_ms < since_ms))
    c.execute(delete(sessions).where(t.account == account, t.id == id_, t.label == label))
    mine = select(t.id).where(t.account == account, t.label == label)
    oldest = mine.order_by(t.updated_ms.desc()).offset(count - 1).limit(100)
    if gone := list(c.execute(oldest).scalars()):
        c.execute(delete(sessions).where(t.account == account, t.label == label, t.id.in_(gone)))
    c.execute(
        insert(sessions).values(
            account=account, id=id_, label=label, updated_ms=now_ms, turns=turns
        )
    )


def _is_in(document: Document) -> tuple[ColumnElement[bool], ...]:
    t = documents.c
    return (
        t.account == document.account,
        t.base == document.base,
        t.source == document.source,
    )


def _of_source(table: Table, source: Source) -> tuple[ColumnElement[bool], ...]:
    t = table.c
    return t.account == source.account, t.base == source.base, t.source == source.id


def _is_job(job: Job) -> tuple[ColumnElement[bool], ...]:
    t = jobs.c
    return (
        t.account == job.account, t.base == job.base, t.source == job.source, t.id == job.id
    )  # fmt: skip


def _page(table: Table, where: Sequence[ColumnElement[bool]], limit: int) -> Any:
    return select(table).where(*where).order_by(table.c.id).limit(limit)


def _values(thing: BaseRow | Source) -> dict[str, Any]:
    return {**asdict(replace(thing, request={})), "request": json.dumps(thing.request)}


def _fields(kind: type, row: Any) -> dict[str, Any]:
    names: Sequence[str] = kind.__slots__  # type: ignore[attr-defined]  # a dataclass with slots
    return {name: getattr(row, name) for name in names}


def _base(row: Any) -> BaseRow:
    found = _fields(BaseRow, row)
    return BaseRow(
        **{**found, "status": BaseStatus(row.status), "request": json.loads(row.request)}
    )


def _source(row: Any) -> Source:
    found = _fields(Source, row)
    changes = {"status": SourceStatus(row.status), "request": json.loads(row.request)}
    return Source(**{**found, **changes})


def _job_values(job: Job) -> dict[str, Any]:
    found = asdict(job)
    changes: Mapping[str, str] = {
        "statistics": json.dumps(found["statistics"]),
        "failures": json.dumps(list(job.failures)),
    }
    return {**found, **changes}


def _job(row: Any) -> Job:
    found = _fields(Job, row)
    changes = {
        "status": JobStatus(row.status),
        "statistics": msgspec.json.decode(row.statistics, type=Statistics),
        "failures": tuple(json.loads(row.failures)),
    }
    return Job(**{**found, **changes})


def _document(row: Any) -> Document:
    return Document(**{**_fields(Document, row), "status": DocumentStatus(row.status)})

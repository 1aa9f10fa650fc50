"""Jobs, their transitions and the outbox of effects. One transaction writes all three."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from bastide.db.schema import metadata
from bastide.jobs import machine
from bastide.jobs.model import FINISHED, Job, JobSpec, Status, Transition
from bastide.kernel.clock import epoch_ms, moment

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(512), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("account", String(12), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("rev", Integer, nullable=False),
    Column("body", Text, nullable=False),  # the whole Job as JSON
)
transitions = Table(
    "job_transitions",
    metadata,
    Column("job_id", String(512), primary_key=True),
    Column("rev", Integer, primary_key=True),
    Column("status", String(16), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
)
effects = Table(
    "job_effects",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(512), nullable=False, index=True),
    Column("due_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,  # an id must never be given to a second effect
)
told = Table(
    "job_lines_told",
    metadata,
    Column("job_id", String(512), primary_key=True),
    Column("replica", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
)
uids = Table(
    "job_uids",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("position", Integer, nullable=False, unique=True),
)

EFFECTS: Mapping[str, Any] = {
    kind.__name__: kind
    for kind in (
        machine.Admit,
        machine.Prepare,
        machine.Start,
        machine.Terminate,
        machine.Collect,
        machine.Notify,
        machine.Sweep,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One effect that is still to be carried out."""

    id: int
    job_id: str
    account: str
    due_ms: int
    effect: machine.Effect


def find(connection: Connection, job_id: str) -> Job | None:
    row = connection.execute(select(jobs.c.body).where(jobs.c.id == job_id)).first()
    return None if row is None else _job(row.body)


def unfinished(connection: Connection) -> list[Job]:
    """Every job that has not ended, oldest first."""
    ended = [status.value for status in FINISHED]
    rows = connection.execute(select(jobs.c.body).where(jobs.c.status.not_in(ended)))
    return sorted((_job(row.body) for row in rows), key=lambda job: job.created)


def open_ids(connection: Connection) -> list[str]:
    """The jobs that have not ended, or have something left to be done; oldest first."""
    waiting = connection.execute(select(effects.c.job_id).order_by(effects.c.id))
    ids = [job.spec.id for job in unfinished(connection)]
    return list(dict.fromkeys([*ids, *(row.job_id for row in waiting)]))


def history(connection: Connection, job_id: str) -> list[Transition]:
    found = select(transitions).where(transitions.c.job_id == job_id).order_by(transitions.c.rev)
    return [
        Transition(
            job_id=row.job_id,
            rev=row.rev,
            status=Status(row.status),
            at=moment(row.at_ms),
            message=row.message,
        )
        for row in connection.execute(found)
    ]


def outbox(connection: Connection, job_id: str) -> list[Pending]:
    """What is still to be done, in the order in which it was decided."""
    whose = effects.outerjoin(jobs, jobs.c.id == effects.c.job_id)
    found = select(effects, jobs.c.account).select_from(whose).order_by(effects.c.id)
    found = found.where(effects.c.job_id == job_id)
    return [
        Pending(
            id=row.id,
            job_id=row.job_id,
            account=row.account or "",
            due_ms=row.due_ms,
            effect=_effect(row.body),
        )
        for row in connection.execute(found)
    ]


def add(connection: Connection, spec: JobSpec, now: datetime) -> tuple[Job, list[Pending]] | None:
    """The new job, or None when the id is taken."""
    if find(connection, spec.id) is not None:
        return None
    job, decided = machine.submitted(spec, now)
    connection.execute(
        insert(jobs).values(
            id=spec.id,
            kind=spec.kind,
            account=spec.account,
            status=job.status.value,
            rev=job.rev,
            body=_text(job),
        )
    )
    _note(connection, job, now)
    return job, _queue(connection, job, decided, now)


@dataclass(frozen=True, slots=True)
class Advanced:
    """What an event did: the job before and after, and the new effects."""

    before: Job
    after: Job
    pending: list[Pending]


def advance(
    connection: Connection,
    job_id: str,
    events: Sequence[machine.Event],
    now: datetime,
    done: int | None = None,
) -> Advanced | None:
    """Step the job and strike effect `done` off; None when the job is gone or somebody else
    wrote it meanwhile (then nothing is written)."""
    before = find(connection, job_id)
    if before is None:
        finish(connection, done)
        return None
    after, decided = before, list[machine.Effect]()
    for event in events:
        after, more = machine.step(after, event, now)
        decided += more
    if after.rev != before.rev and not _store(connection, before, after):
        return None
    if after.status is not before.status:
        _note(connection, after, now)
    finish(connection, done)
    return Advanced(before, after, _queue(connection, after, decided, now))


def finish(connection: Connection, effect_id: int | None) -> None:
    if effect_id is not None:
        connection.execute(delete(effects).where(effects.c.id == effect_id))


def lines_told(connection: Connection, job_id: str, replica: int, attempt: int) -> tuple[int, int]:
    """How far an attempt's output has been handed on: segment and offset."""
    row = connection.execute(select(told).where(*_attempt(job_id, replica, attempt))).first()
    return (0, 0) if row is None else (row.segment, row.offset)


def tell_lines(
    connection: Connection, job_id: str, replica: int, attempt: int, upto: tuple[int, int]
) -> None:
    here, position = _attempt(job_id, replica, attempt), {"segment": upto[0], "offset": upto[1]}
    if connection.execute(update(told).where(*here).values(position)).rowcount == 0:
        mine = told.c.job_id == job_id, told.c.replica == replica
        connection.execute(delete(told).where(*mine, told.c.attempt < attempt))
        row = {"job_id": job_id, "replica": replica, "attempt": attempt}
        connection.execute(insert(told).values(row | position))


def _attempt(job_id: str, replica: int, attempt: int) -> tuple[ColumnElement[bool], ...]:
    return told.c.job_id == job_id, told.c.replica == replica, told.c.attempt == attempt


def remove(connection: Connection, job_id: str) -> None:
    """Forget the job, its history and whatever was still to be done."""
    connection.execute(delete(told).where(told.c.job_id == job_id))
    connection.execute(delete(effects).where(effects.c.job_id == job_id))
    connection.execute(delete(transitions).where(transitions.c.job_id == job_id))
    connection.execute(delete(jobs).where(jobs.c.id == job_id))


def uid_position(connection: Connection, account: str) -> int:
    """Which uid of the range is this agency's; the first asking gives it the next one."""
    row = connection.execute(select(uids.c.position).where(uids.c.account == account)).first()
    if row is not None:
        return int(row.position)
    taken = connection.execute(select(uids.c.position).order_by(uids.c.position.desc())).first()
    position = 0 if taken is None else int(taken.position) + 1
    connection.execute(insert(uids).values(account=account, position=position))
    return position


def _store(connection: Connection, before: Job, after: Job) -> bool:
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.id == before.spec.id, jobs.c.rev == before.rev)
        .values(status=after.status.value, rev=after.rev, body=_text(after))
    )
    return changed.rowcount == 1


def _note(connection: Connection, job: Job, now: datetime) -> None:
    connection.execute(
        insert(transitions).values(
            job_id=job.spec.id,
            rev=job.rev,
            status=job.status.value,
            at_ms=epoch_ms(now),
            message=job.failure,
        )
    )


def _queue(
    connection: Connection, job: Job, decided: Sequence[machine.Effect], now: datetime
) -> list[Pending]:
    queued = []
    for effect in decided:
        delay_s = effect.delay_s if isinstance(effect, machine.Start) else 0.0
        due_ms = epoch_ms(now) + int(delay_s * 1000)
        body = json.dumps({"effect": type(effect).__name__, **asdict(effect)})
        made = connection.execute(
            insert(effects).values(job_id=job.spec.id, due_ms=due_ms, body=body)
        )
        key = made.inserted_primary_key
        assert key is not None
        queued.append(
            Pending(
                id=key[0],
                job_id=job.spec.id,
                account=job.spec.account,
                due_ms=due_ms,
                effect=effect,
            )
        )
    return queued


def _text(job: Job) -> str:
    return msgspec.json.encode(job).decode()


def _job(text: str) -> Job:
    return msgspec.json.decode(text, type=Job)


def _effect(text: str) -> machine.Effect:
    members = json.loads(text)
    made: machine.Effect = EFFECTS[members.pop("effect")](**members)
    return made

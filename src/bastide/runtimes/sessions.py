"""Sessions: each a sandboxed process of its own, begun by its first call, ended when it was idle,
has lived its time, has died, or is stopped.

What is durable is in the database and in the job; when a session was used last is not. So after a
`kill -9` of the region those that still run are taken over, and are idle from then on.
"""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from bastide.jobs.model import FINISHED, Job, Status
from bastide.jobs.ports import Jobs
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import ALNUM
from bastide.kernel.shares import Sharer, view_of
from bastide.runtimes import records
from bastide.runtimes.book import Book
from bastide.runtimes.issuing import Issuer, Own
from bastide.runtimes.kind import door_of, spec_of
from bastide.runtimes.model import SERVICE, Runtime, Session, SessionKey, Version
from bastide.runtimes.ports import Doors, Keys, Roles, Whose

logger = logging.getLogger(__name__)
SESSIONS_MAX = 24  # of an account at one label
CALLS_MAX = 16  # of one session at once
BYTES_MAX = 256 * 1024 * 1024  # of the payloads of an account at one label that are under way
BEGIN_TRIES = 3
POLL_S = 0.03
LOOK_EVERY = 10  # polls; in between only memory is asked
ROOM_WAIT_S = 20.0
BEGIN_WAIT_S = 150.0
SETTLE_POLLS = 30
KEEP_S = 5.0
TOKEN_BYTES = 32
START_ERROR = (
    "An error occurred when starting the runtime. Please check your CloudWatch logs for more "
    "information."
)


@dataclass(slots=True)
class Live:
    """What is known of a session in memory alone."""

    idle_s: int
    used_s: float
    calls: int = 0


class _Taken(Exception):
    """Another call has begun the session."""


@dataclass(slots=True, kw_only=True)
class Sessions:
    """`doors_at`: the folder of the doors' sockets."""

    book: Book
    jobs: Jobs
    roles: Roles
    keys: Keys
    doors: Doors
    doors_at: Path
    _live: dict[str, Live] = field(default_factory=dict)  # by job
    _bytes: dict[Sharer, int] = field(default_factory=dict)  # of the event loop

    # Beginning -----------------------------------------------------------------------------------
    def found(self, call: Call, runtime_id: str, endpoint: str, session_id: str) -> Session:
        """The session of that name at the caller's label; begun if there is none that lives."""
        key = SessionKey(
            account=call.account, runtime_id=runtime_id, endpoint=endpoint, id=session_id,
            label=self.book.marks.own(call.principal),
        )  # fmt: skip
        for _ in range(BEGIN_TRIES):
            row = self.book.database.read(lambda c: records.session(c, key))
            if row is not None:
                had = self.book.session(row)
                if not _is_over(self.jobs.find(had.job_id)):
                    return had
                self.end(had)
            with contextlib.suppress(_Taken):
                return self._begin(call, key)
        raise ServiceError(
            "RetryableConflictException", f"The session {session_id} is being begun; try again."
        )

    def _begin(self, call: Call, key: SessionKey) -> Session:
        runtime, version = self.book.database.read(lambda c: self._version(c, call, key))
        role_arn = version.asked["roleArn"]
        self.roles.assume_for_service(key.account, role_arn, SERVICE, key.label)
        run = self.book.ids.word(16, ALNUM)
        new = Session(
            key=key, version=version.number, job_id=f"runtime/{key.account}/{runtime.id}/{run}",
            token=self.book.ids.token(TOKEN_BYTES).hex(), started_ms=self.book.now_ms(),
        )  # fmt: skip

        def beside(c: Connection) -> None:
            if records.session(c, key) is not None:
                raise _Taken
            self._version(c, call, key)  # it may have been deleted since
            if records.count_sessions(c, key.account, key.label) >= SESSIONS_MAX:
                raise ServiceError(
                    "ServiceQuotaExceededException", f"{SESSIONS_MAX} sessions are running."
                )
            self.book.add_session(c, new)

        self.jobs.submit(spec_of(new, version), beside)
        return new

    def _version(self, c: Connection, call: Call, key: SessionKey) -> tuple[Runtime, Version]:
        runtime = self.book.runtime_in(c, call, key.runtime_id)
        endpoint = self.book.endpoint(c, runtime, key.endpoint)
        return runtime, self.book.version(c, runtime, endpoint.version)

    # Using: on the event loop --------------------------------------------------------------------
    @contextmanager
    def call(self, session: Session, idle_s: int, size: int) -> Iterator[None]:
        """A place at the session, which is not idle meanwhile."""
        whose, job_id = view_of(session.key.account, session.key.label), session.job_id
        live = self._live.setdefault(job_id, Live(idle_s, self._now_s()))
        held = self._bytes.get(whose, 0) + size
        if live.calls >= CALLS_MAX or held > BYTES_MAX:
            raise ServiceError(
                "ThrottlingException", "Too many calls are under way; try again.", status=429
            )
        live.calls += 1
        self._bytes[whose] = held
        try:
            yield
        finally:
            live.calls, live.used_s = live.calls - 1, self._now_s()
            self._bytes[whose] -= size
            if not self._bytes[whose]:
                del self._bytes[whose]

    async def reached(self, session: Session, version: Version) -> Path:
        """The socket of the session's process, once it answers its health check."""
        self.open_door(session, version)
        began_s, turn = self._now_s(), 0
        while True:
            if sockets := self.jobs.sockets(session.job_id):
                return sockets[0]
            if turn % LOOK_EVERY == 0:
                await self._check(session, self._now_s() - began_s)
            turn += 1
            await asyncio.sleep(POLL_S)

    async def _check(self, session: Session, waited_s: float) -> None:
        job = await asyncio.to_thread(self.jobs.find, session.job_id)
        error = None
        if _is_over(job) or waited_s > BEGIN_WAIT_S:
            error = ServiceError("RuntimeClientError", START_ERROR)
        elif job is not None and job.status is Status.PENDING and waited_s > ROOM_WAIT_S:
            error = ServiceError(
                "ThrottlingException", "There is no room for a session now; try again.", status=429
            )
        if error is not None:
            await asyncio.to_thread(self.end, session)
            raise error

    async def settle(self, session: Session) -> None:
        """After an answer was broken off: a process that has died is told of within a moment, and
        the next call is for another one."""
        for _ in range(SETTLE_POLLS):
            if _is_over(await asyncio.to_thread(self.jobs.find, session.job_id)):
                await asyncio.to_thread(self.end, session)
                return
            await asyncio.sleep(POLL_S)

    def open_door(self, session: Session, version: Version) -> None:
        key, role_arn = session.key, version.asked["roleArn"]
        name = f"BedrockAgentCore-{session.job_id.rpartition('/')[2]}"
        whose = Whose(door=name, account=key.account, role_arn=role_arn, label=key.label)
        issuer = Issuer(self.keys, self.book.clock, whose)
        path = door_of(self.doors_at, session.job_id)
        self.doors.open(path, whose, Own(session.token, issuer.issue))
        self._live.setdefault(session.job_id, Live(version.idle_s, self._now_s()))

    # Ending --------------------------------------------------------------------------------------
    def end(self, session: Session) -> None:
        """The job first: were the row gone before and the region killed, it would run on."""
        self.jobs.forget(session.job_id)
        self.book.database.write(lambda c: records.drop_session(c, session.job_id))
        self.doors.close(door_of(self.doors_at, session.job_id))
        self._live.pop(session.job_id, None)

    def end_all(self, account: str, runtime_id: str, endpoint: str | None = None) -> None:
        """Of a runtime, or of one of its endpoints, at every label."""
        rows = self.book.database.read(
            lambda c: records.sessions_of(c, account, runtime_id, endpoint)
        )
        for row in rows:
            self.end(self.book.session(row))

    def touch(self, job_id: str) -> None:
        live = self._live.get(job_id)
        if live is not None:
            live.used_s = self._now_s()

    async def take_over(self) -> None:
        """At the start: what still runs has its door again, the rest is over."""
        sessions = await asyncio.to_thread(self._all)
        await asyncio.to_thread(self._clear, {one.job_id for one in sessions})
        for session in sessions:
            version = await asyncio.to_thread(self.book.version_of, session)
            over = version is None or _is_over(
                await asyncio.to_thread(self.jobs.find, session.job_id)
            )
            if over or version is None:
                await asyncio.to_thread(self.end, session)
            else:
                self.open_door(session, version)

    def _clear(self, job_ids: Collection[str]) -> None:
        """Doors of sessions that ended while they were being begun."""
        kept = {door_of(self.doors_at, job_id).parent for job_id in job_ids}
        for folder in self.doors_at.glob("*"):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    async def keep(self) -> None:
        """Until cancelled: end what is idle, or has died."""
        while True:
            await asyncio.sleep(KEEP_S)
            try:
                await asyncio.to_thread(self.sweep)
            except Unavailable:
                logger.warning("sessions of runtimes could not be looked at; trying again")

    def sweep(self) -> None:
        now_s = self._now_s()
        for session in self._all():
            live = self._live.get(session.job_id)
            idle = live is not None and not live.calls and now_s - live.used_s > live.idle_s
            if idle or _is_over(self.jobs.find(session.job_id)):
                self.end(session)

    def _all(self) -> list[Session]:
        rows = self.book.database.read(records.all_sessions)
        return [self.book.session(row) for row in rows]

    def _now_s(self) -> float:
        return self.book.clock.monotonic_s()


def _is_over(job: Job | None) -> bool:
    """A process that died is not gone on with: what it left on its disk is not the next one's."""
    return job is None or job.status in FINISHED or job.forgotten or bool(job.exits)

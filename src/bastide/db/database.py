"""One writer thread that commits in groups; readers that never wait for it.

An fsync costs 1 to 8 ms, so writes that arrive together share one (reference/execution.md, 5).
Each `write` runs inside its own savepoint: one that fails takes nobody with it. Its future
resolves only after the group's COMMIT, which is durable (`synchronous=FULL`, or PostgreSQL's
`synchronous_commit=on`). Writes commit in the order in which they were submitted.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from bastide.db.schema import metadata

T = TypeVar("T")
GROUP_MAX = 256
READERS_MAX = 32


@dataclass(frozen=True, slots=True)
class _Write:
    work: Callable[[Connection], Any]
    done: Future[Any]


class Database:
    """`url`: `sqlite:////path/region.db` or `postgresql+psycopg://…`."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None

    @property
    def engine(self) -> Engine:
        return self._engine

    def start(self, *, create: bool = False) -> None:
        """Begin to take writes. `create` makes the tables without a migration (tests)."""
        if create:
            metadata.create_all(self._engine)
        self._writer = threading.Thread(target=self._write_loop, name="db-writer", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Commit what was submitted, then let go of the connections."""
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None
        self._engine.dispose()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a snapshot that holds every write that has resolved."""
        with self._engine.connect() as connection:
            return work(connection)

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Queue a write; the future resolves with `work`'s value once it is durable."""
        done: Future[T] = Future()
        self._queue.put(_Write(work, done))
        return done

    def write(self, work: Callable[[Connection], T]) -> T:
        """Queue a write and wait until it is durable."""
        return self.submit(work).result()

    def _write_loop(self) -> None:
        stopping = False
        while not stopping:
            group, stopping = self._next_group()
            if group:
                self._commit(group)

    def _next_group(self) -> tuple[list[_Write], bool]:
        group: list[_Write] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            if len(group) == GROUP_MAX:
                return group, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: list[_Write]) -> None:
        """One transaction for the group, one savepoint for each write."""
        settled: list[tuple[_Write, Any, BaseException | None]] = []
        try:
            with self._engine.begin() as connection:
                settled = [(write, *_attempt(connection, write)) for write in group]
        except BaseException as error:
            settled = [(write, None, error) for write in group]
        for write, value, failure in settled:
            if failure is None:
                write.done.set_result(value)
            else:
                write.done.set_exception(failure)


def _attempt(connection: Connection, write: _Write) -> tuple[Any, BaseException | None]:
    savepoint = connection.begin_nested()
    try:
        value = write.work(connection)
    except BaseException as error:
        savepoint.rollback()
        return None, error
    savepoint.commit()
    return value, None


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=READERS_MAX, pool_pre_ping=True)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=READERS_MAX,
        connect_args={"check_same_thread": False, "timeout": 30},
    )
    event.listen(engine, "connect", _sqlite_connected)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connected(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=30000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")

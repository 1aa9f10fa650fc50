"""One writer thread that commits in groups; readers that never wait for it.

An fsync costs 1 to 8 ms, so writes that arrive together share one (reference/execution.md, 5).
Each `write` runs inside its own savepoint: one that fails takes nobody with it. Its future
resolves only after the group's COMMIT, which is durable (`synchronous=FULL`, or PostgreSQL's
`synchronous_commit=on`). Writes commit in the order in which they were submitted. What the disk
or the server refuses is raised as `Unavailable`.
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, MetaData

from bastide.db.engines import new_engine, reader_of, writer_of
from bastide.db.faults import is_world, translated
from bastide.db.schema import key_metadata, metadata
from bastide.kernel.errors import Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")
GROUP_MAX = 256
QUEUE_MAX = 100_000


@dataclass(frozen=True, slots=True)
class _Write:
    work: Callable[[Connection], Any]
    done: Future[Any]


@dataclass(frozen=True, slots=True)
class _Settled:
    """How one write of a group ended, to be told after the group's COMMIT."""

    write: _Write
    value: Any = None
    failure: BaseException | None = None

    def tell(self) -> None:
        if self.failure is None:
            self.write.done.set_result(self.value)
        else:
            self.write.done.set_exception(translated(self.failure))


class Database:
    """`url`: `sqlite:////path/region.db` or `postgresql+psycopg://…`. `tables`: what it holds."""

    def __init__(self, url: str, tables: MetaData = metadata) -> None:
        self._engine = new_engine(url, forgets=tables is key_metadata)
        self._tables = tables
        self._reader = reader_of(self._engine)
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._door = threading.Lock()  # nothing enters the queue behind the end mark
        self._open = False

    @property
    def engine(self) -> Engine:
        return self._engine

    def start(self, *, create: bool = False) -> None:
        """Begin to take writes. `create` makes the tables without a migration (tests)."""
        if create:
            self._tables.create_all(self._engine)
        self._open = True
        self._writer = threading.Thread(target=self._write_loop, name="db-writer", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Commit what was submitted, then let go of the connections."""
        with self._door:
            self._open = False
            self._queue.put(None)
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        self._engine.dispose()

    def scrub(self) -> None:
        """Leave nothing of what was deleted in SQLite's journal."""
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a snapshot that holds every write that has resolved."""
        try:
            with self._reader.connect() as connection:
                return work(connection)
        except Exception as error:  # only to tell the world's faults from ours
            if is_world(error):
                raise translated(error) from error
            raise

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Queue a write; the future resolves with `work`'s value once it is durable.

        `work` may run more than once: a group whose COMMIT fails is tried again one by one.
        """
        done: Future[T] = Future()
        with self._door:
            if not self._open:
                raise Unavailable("The database is closed.")
            if self._queue.qsize() >= QUEUE_MAX:
                raise Unavailable("Too many writes are waiting for the disk.")
            self._queue.put(_Write(work, done))
        return done

    def write(self, work: Callable[[Connection], T]) -> T:
        """Queue a write and wait until it is durable."""
        assert threading.current_thread() is not self._writer, "a write cannot wait for a write"
        return self.submit(work).result()

    def _write_loop(self) -> None:
        line = _Line(writer_of(self._engine))
        stopping = False
        while not stopping:
            group, stopping = self._next_group()
            running = [write for write in group if write.done.set_running_or_notify_cancel()]
            if running:
                line.commit(running)
        line.hang_up()

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


class _Line:
    """The writer's own connection: kept while it works, made anew after any failure."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def commit(self, group: list[_Write]) -> None:
        """Commit `group` together; if that fails as a whole, each write by itself."""
        try:
            settled = self._together(group)
        except BaseException as error:  # the writer thread outlives whatever a write raises
            self.hang_up()
            if len(group) == 1 or is_world(error):
                settled = [_Settled(write, failure=error) for write in group]
            else:
                settled = [self._alone(write) for write in group]
        for each in settled:
            each.tell()

    def hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception:  # it was lost; the pool makes another
                logger.warning("the database connection was lost", exc_info=True)

    def _together(self, group: list[_Write]) -> list[_Settled]:
        """One transaction for the group, one savepoint for each write."""
        connection = self._connection = self._connection or self._engine.connect()
        with connection.begin():
            if len(group) == 1:
                return [_Settled(group[0], group[0].work(connection))]
            return [_attempt(connection, write) for write in group]

    def _alone(self, write: _Write) -> _Settled:
        try:
            return self._together([write])[0]
        except BaseException as error:  # told to whoever waits for this write
            self.hang_up()
            return _Settled(write, failure=error)


def _attempt(connection: Connection, write: _Write) -> _Settled:
    """Run one write in a savepoint. The driver's own connection is asked: through SQLAlchemy a
    savepoint costs ten times as much."""
    driver: Any = connection.connection.driver_connection
    driver.execute("SAVEPOINT one_write")
    try:
        settled = _Settled(write, write.work(connection))
    except BaseException as error:  # told to whoever waits; the others' work stays
        driver.execute("ROLLBACK TO SAVEPOINT one_write")
        settled = _Settled(write, failure=error)
    driver.execute("RELEASE SAVEPOINT one_write")
    return settled

"""How connections are made: SQLite in WAL mode that syncs every commit, or PostgreSQL."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import QueuePool

from bastide.db import durable

READERS_MAX = 32
POOL_WAIT_S = 30
_WAIT_S = 30  # for another's write lock
_PRAGMAS = ("synchronous=FULL", "foreign_keys=ON")


def new_engine(url: str, *, forgets: bool = False) -> Engine:
    """`url`: `sqlite:////path/region.db`, `postgresql://…` or `postgresql+psycopg://…`. `forgets`:
    SQLite writes zeros over what is deleted."""
    if not url.startswith("sqlite"):
        return _postgres(url)
    if path := make_url(url).database:
        _make_file(Path(path))
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=READERS_MAX,
        max_overflow=READERS_MAX,
        pool_timeout=POOL_WAIT_S,
        connect_args={"check_same_thread": False, "timeout": _WAIT_S},
        hide_parameters=True,  # what an agency said is in no log
    )
    event.listen(engine, "connect", _sqlite_connected)
    if forgets:
        event.listen(engine, "connect", _sqlite_forgets)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _make_file(path: Path) -> None:
    """A private file in WAL mode: SQLite gives its -wal and -shm files the mode of the
    database's own. One at a time: to enter WAL mode SQLite does not wait for the others, it
    says "database is locked" at once; and whoever closes a file drops the locks on it."""
    with durable.alone_in(path.parent):
        path.touch(mode=0o600)
        path.chmod(0o600)
        with closing(sqlite3.connect(path, timeout=_WAIT_S)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def reader_of(engine: Engine) -> Engine:
    """The same pool, for transactions that see one snapshot and change nothing."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writer_of(engine: Engine) -> Engine:
    """The same pool, for transactions that take SQLite's write lock before they read, so that
    they never fail for a snapshot that grew old."""
    return engine.execution_options(bastide_writes=True)


def _postgres(url: str) -> Engine:
    for short in ("postgresql://", "postgres://"):
        if url.startswith(short):
            url = "postgresql+psycopg://" + url.removeprefix(short)
    engine = create_engine(
        url,
        pool_size=READERS_MAX,
        max_overflow=READERS_MAX,
        pool_timeout=POOL_WAIT_S,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _postgres_connected)
    return engine


def _postgres_connected(connection: Any, _record: Any) -> None:
    connection.autocommit = True
    for setting in ("synchronous_commit TO on", "timezone TO 'UTC'"):
        connection.execute(f"SET {setting}")
    connection.autocommit = False


def _sqlite_connected(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_forgets(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA secure_delete=ON")


def _sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("bastide_writes")
    driver: Any = connection.connection.driver_connection
    driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

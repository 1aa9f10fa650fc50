"""A region's audit log as it lies in its database, read by somebody who trusts nothing.

SQLite is opened read-only with the standard library, while the region runs or not; PostgreSQL
with psycopg, only if asked for. Nothing here is the server's code.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

PAGE = 1_024  # small enough for a core's own cache
_LEAVES = (
    'SELECT "index", body, hash, account, time_ms, label, closes FROM audit_leaves ORDER BY "index"'
)
_BETWEEN = 'WHERE "index" >= {} AND "index" < {} ORDER BY "index"'
_HASHES = "SELECT hash FROM audit_leaves "
_TAIL = 'SELECT "index", body FROM audit_leaves ORDER BY "index" DESC'
_CHECKPOINTS = "SELECT size, note FROM audit_checkpoints ORDER BY size"


class Log(Protocol):
    """One snapshot of a stored log."""

    def checkpoints(self) -> Sequence[tuple[Any, Any]]:
        """(size, note), by size."""
        ...

    def leaves(self) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Pages of rows, in order of index."""
        ...

    def newest(self) -> Iterator[tuple[int, bytes]]:
        """(index, body), the newest first."""
        ...

    def hashes(self, first: int, size: int) -> Iterator[bytes]:
        """Those of the leaves from `first` up to a log of `size`, in order."""
        ...

    def count(self) -> int:
        """How many rows there are: for progress."""
        ...


@dataclass(frozen=True, slots=True)
class _Cursors:
    """Both drivers speak DB-API; `stream` opens a cursor that does not fetch it all at once."""

    connection: Any
    server_side: bool

    def checkpoints(self) -> Sequence[tuple[Any, Any]]:
        return list(self._rows(_CHECKPOINTS))

    def leaves(self) -> Iterator[Sequence[tuple[Any, ...]]]:
        return self._pages(_LEAVES)

    def newest(self) -> Iterator[tuple[int, bytes]]:
        for index, body in self._rows(_TAIL):
            yield index, bytes(body)

    def hashes(self, first: int, size: int) -> Iterator[bytes]:
        for (stored,) in self._rows(_HASHES + _BETWEEN.format(int(first), int(size))):
            yield bytes(stored)

    def count(self) -> int:
        return int(next(self._rows("SELECT count(*) FROM audit_leaves"))[0])

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        for page in self._pages(query):
            yield from page

    def _pages(self, query: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        with closing(self._cursor("rows")) as cursor:
            cursor.execute(query)
            while page := cursor.fetchmany(PAGE):
                yield page

    def _cursor(self, name: str) -> Any:
        return self.connection.cursor(name) if self.server_side else self.connection.cursor()


class Unreadable(Exception):
    """What was named is no audit log, or cannot be read; the text says which and why."""


@contextmanager
def opened(where: str) -> Iterator[Log]:
    """`where`: a SQLite file's path or URL, or a PostgreSQL URL. Raises Unreadable."""
    server_side = where.startswith("postgres")
    try:
        with closing(_postgres(where) if server_side else _sqlite(where)) as connection:
            yield _Cursors(connection, server_side)
    except _errors(server_side) as error:
        told = "the PostgreSQL database" if server_side else where  # a URL may hold a password
        raise Unreadable(f"The log in {told} cannot be read: {error}") from error


def _errors(server_side: bool) -> type[Exception]:
    if not server_side:
        return sqlite3.Error
    import psycopg  # here: not needed, and perhaps not there, for SQLite

    return psycopg.Error


def _sqlite(where: str) -> sqlite3.Connection:
    path = Path(where.removeprefix("sqlite:///"))
    if not path.is_file():
        raise Unreadable(f"There is no database at {path}.")
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, timeout=30
    )
    connection.execute("BEGIN")  # one snapshot for leaves and checkpoints
    return connection


def _postgres(url: str) -> Any:
    import psycopg

    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    connection = psycopg.connect(plain)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection

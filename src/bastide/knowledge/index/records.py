"""The index's file: sealed chunks by partition, which is one label of one knowledge base.

In the clear are whose it is, the label, and how many chunks of what size there are. Writing and
reading have a connection each: no search waits for a disk.
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import apsw

T = TypeVar("T")
PAGE = 2_000
BUSY_MS = 10_000
_TABLES = """
CREATE TABLE IF NOT EXISTS partitions(
  id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, kb TEXT NOT NULL,
  label TEXT NOT NULL, kek TEXT NOT NULL, wrapped BLOB NOT NULL, dimensions INTEGER NOT NULL,
  UNIQUE(account, kb, label));
CREATE TABLE IF NOT EXISTS chunks(
  id INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, document BLOB NOT NULL,
  body BLOB NOT NULL, search BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS chunks_document ON chunks(partition, document);
CREATE INDEX IF NOT EXISTS chunks_partition ON chunks(partition);
CREATE TABLE IF NOT EXISTS graphs(partition INTEGER PRIMARY KEY, covers INTEGER NOT NULL,
  last INTEGER NOT NULL, sealed BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A partition: `kek` names the agency's key that its own key is wrapped with; `dimensions` of
    its vectors, 0 until there is one."""

    id: int
    account: str
    kb: str
    label: str
    kek: str
    wrapped: bytes
    dimensions: int = 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """One chunk: `document` is a digest under the partition's key."""

    document: bytes
    body: bytes
    search: bytes


class File:
    """Safe to use from many threads. What was written is on the disk when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._write, self._read = _opened(path), _opened(path)
        self._write.execute(_TABLES)
        self._writing, self._reading = threading.Lock(), threading.Lock()
        path.chmod(0o600)

    def write(self, work: Callable[[apsw.Connection], T]) -> T:
        with self._writing, self._write:
            found = work(self._write)
        return found

    def read(self, work: Callable[[apsw.Connection], T]) -> T:
        with self._reading, self._read:
            found = work(self._read)
        return found

    def scrub(self) -> None:
        """Nothing that was deleted stays in the log beside the file."""
        with self._writing:
            self._write.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def close(self) -> None:
        with self._writing, self._reading:
            self._read.close()
            self._write.close()


def _opened(path: Path) -> apsw.Connection:
    made = apsw.Connection(str(path))
    made.set_busy_timeout(BUSY_MS)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        made.execute(f"PRAGMA {pragma}")
    return made


def partitions(db: apsw.Connection, kb: tuple[str, str]) -> list[Row]:
    query = "SELECT * FROM partitions WHERE account = ? AND kb = ? ORDER BY label"
    return [Row(*row) for row in db.execute(query, kb)]


def seen(db: apsw.Connection, kb: tuple[str, str], labels: Sequence[str]) -> list[Row]:
    """Those of the labels, and no other."""
    query = (
        "SELECT * FROM partitions WHERE account = ? AND kb = ? "
        "AND label IN (SELECT value FROM json_each(?)) ORDER BY label"
    )
    return [Row(*row) for row in db.execute(query, (*kb, json.dumps(list(labels))))]


def add_partition(db: apsw.Connection, row: Row) -> Row:
    db.execute(
        "INSERT INTO partitions(account, kb, label, kek, wrapped, dimensions) "
        "VALUES (?, ?, ?, ?, ?, 0)",
        (row.account, row.kb, row.label, row.kek, row.wrapped),
    )
    return replace(row, id=db.last_insert_rowid())


def measure(db: apsw.Connection, partition: int, dimensions: int) -> None:
    db.execute("UPDATE partitions SET dimensions = ? WHERE id = ?", (dimensions, partition))


def drop_partition(db: apsw.Connection, partition: int) -> None:
    for table, column in (("chunks", "partition"), ("graphs", "partition"), ("partitions", "id")):
        db.execute(f"DELETE FROM {table} WHERE {column} = ?", (partition,))  # noqa: S608 - our words


def add(db: apsw.Connection, partition: int, chunks: Sequence[Sealed]) -> list[int]:
    found = []
    for one in chunks:
        db.execute(
            "INSERT INTO chunks(partition, document, body, search) VALUES (?, ?, ?, ?)",
            (partition, one.document, one.body, one.search),
        )
        found.append(db.last_insert_rowid())
    return found


def remove(db: apsw.Connection, partition: int, documents: Sequence[bytes]) -> list[int]:
    """The ids that were there."""
    query = "DELETE FROM chunks WHERE partition = ? AND document = ? RETURNING id"
    return [id_ for each in documents for (id_,) in db.execute(query, (partition, each))]


def page(db: apsw.Connection, partition: int, after: int) -> list[tuple[int, bytes, bytes]]:
    """Of the next chunks their id, document and what is searched."""
    query = (
        "SELECT id, document, search FROM chunks INDEXED BY chunks_partition "
        "WHERE partition = ? AND id > ? ORDER BY id LIMIT ?"
    )
    return list(db.execute(query, (partition, after, PAGE)))


def bodies(db: apsw.Connection, ids: Sequence[int]) -> list[tuple[bytes, bytes] | None]:
    """Document and body of each id, None of one that has gone."""
    query = "SELECT document, body FROM chunks WHERE id = ?"
    return [next(iter(db.execute(query, (each,))), None) for each in ids]


def keep_graph(db: apsw.Connection, partition: int, covers: tuple[int, int], sealed: bytes) -> None:
    """Of so many rows, the last with that id; nothing of a partition that has gone."""
    query = "INSERT OR REPLACE INTO graphs SELECT id, ?, ?, ? FROM partitions WHERE id = ?"
    db.execute(query, (*covers, sealed, partition))


def graph(db: apsw.Connection, partition: int) -> tuple[int, int, bytes] | None:
    found = db.execute("SELECT covers, last, sealed FROM graphs WHERE partition = ?", (partition,))
    return next(iter(found), None)

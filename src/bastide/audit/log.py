"""The Merkle log: records go in, in order, and cannot be changed unnoticed.

A leaf's entry is its index (8 bytes, big-endian) followed by the record, so that a record that
was moved betrays itself. Records that wait are written together, by one closure in the
database's own queue: whatever is submitted after `append` commits with it or after it.
"""

import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from bastide.audit import records
from bastide.audit.records import CheckpointRow
from bastide.audit.resume import Resumed, TornLog, not_older, resume
from bastide.db import Database, durable
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import Unavailable
from bastide.kernel.merkle import CompactRange, leaf_hash
from bastide.kernel.notes import Signer, Verifier
from bastide.kernel.receipts import entry

__all__ = ["MerkleLog", "TornLog"]

logger = logging.getLogger(__name__)
WAITING_MAX = 50_000
ACCOUNT_MAX = 12
CHECKPOINT_LEAVES = 4096
CHECKPOINT_S = 60.0
PATIENCE_S = 0.02


@dataclass(slots=True)
class _Batch:
    """Records that commit together."""

    rows: list[dict[str, object]]
    told: list[Future[int]]
    tree: CompactRange | None = None


class MerkleLog:
    """Append records; keep signed checkpoints of them."""

    def __init__(
        self,
        database: Database,
        signer: Signer,
        clock: Clock,
        *,
        checkpoint_leaves: int = CHECKPOINT_LEAVES,
        checkpoint_s: float = CHECKPOINT_S,
        held: Path | None = None,
    ) -> None:
        """`held`: a file outside the database that keeps the newest checkpoint, so that a
        database put back from an older copy is refused."""
        self._database = database
        self._signer = signer
        self._clock = clock
        self._checkpoint_leaves = checkpoint_leaves
        self._checkpoint_s = checkpoint_s
        self._held = held
        self._lock = threading.Lock()
        self._waiting: _Batch | None = None
        self._trees: list[CompactRange] = []  # the committed tree, then one not yet committed
        self._signed = 0
        self._stopping = threading.Event()
        self._ticker: threading.Thread | None = None
        self._patient = _Batch([], [])  # records that nobody waits for
        self._patience = threading.Event()
        self._flusher: threading.Thread | None = None

    @property
    def size(self) -> int:
        """How many records are durable."""
        return self._trees[0].size if self._trees else 0

    @property
    def verifier(self) -> Verifier:
        return self._signer.verifier

    def start(self) -> None:
        """Resume where the stored log ends. TornLog if it is not what was signed."""
        found = self._database.read(self._resumed)
        self._trees, self._signed = [found.tree], found.signed
        self._sign()
        self._stopping.clear()
        self._ticker = threading.Thread(target=self._tick, name="audit-checkpoint", daemon=True)
        self._ticker.start()
        self._flusher = threading.Thread(target=self._flush_late, name="audit-late", daemon=True)
        self._flusher.start()

    def close(self) -> None:
        """Sign what is there. The database is closed afterwards, by whoever opened it."""
        ticker, flusher = self._ticker, self._flusher
        if ticker is None or flusher is None:
            return
        self._stopping.set()
        self._patience.set()
        ticker.join()
        flusher.join()
        with self._lock:
            self._ticker = None
        try:
            self._sign()
        except Unavailable:
            logger.warning("the last checkpoint could not be signed", exc_info=True)

    def append(
        self,
        body: bytes,
        *,
        account: str = "",
        time_ms: int = 0,
        closes: int | None = None,
        label: str | None = "",
        patient: bool = False,
    ) -> "Future[int]":
        """Queue a record; the future resolves with its index once it is durable.

        A `patient` one, for which nobody waits, commits with the next that is not, or soon: it
        costs no commit of its own. Raises Unavailable when no record can be taken, so that nobody
        goes on without one.
        """
        assert len(account) <= ACCOUNT_MAX, "one row must not spoil its batch"
        done: Future[int] = Future()
        done.set_running_or_notify_cancel()  # a caller who goes away does not take it back
        row: dict[str, object] = {"body": body, "account": account, "time_ms": time_ms}
        row |= {"closes": closes, "label": label}
        with self._lock:
            batch = self._waiting or self._patient
            if len(batch.rows) >= WAITING_MAX:
                raise Unavailable("Too many audit records are waiting for the disk.")
            if patient and self._ticker is None:
                raise Unavailable("The audit log is closed.")
            batch.rows.append(row)
            batch.told.append(done)
            if batch is self._waiting:
                return done
            if patient:
                if not self._patience.is_set():  # to wake a thread costs more than a record
                    self._patience.set()
                return done
        self._flush()
        return done

    def _flush(self) -> None:
        """Hand the records that wait to the database, in one write."""
        with self._lock:
            batch = self._patient
            if not batch.rows:
                return
            self._patient = _Batch([], [])
            try:
                written = self._submit(batch)
            except Unavailable as error:
                for done in batch.told:
                    done.set_exception(error)
                raise
            self._waiting = batch
        written.add_done_callback(partial(self._tell, batch))  # may run at once: not in the lock

    def _flush_late(self) -> None:
        """Write patient records that nothing else has taken along."""
        while not self._stopping.is_set():
            self._patience.wait()
            self._stopping.wait(PATIENCE_S)
            self._patience.clear()
            try:
                self._flush()
            except Unavailable:
                logger.warning("audit records that nobody waits for wait on", exc_info=True)

    def _submit(self, batch: _Batch) -> "Future[int]":
        if self._ticker is None:
            raise Unavailable("The audit log is closed.")
        return self._database.submit(lambda connection: self._write(connection, batch))

    def _write(self, connection: Connection, batch: _Batch) -> int:
        """Runs in the writer thread, perhaps twice: it starts from what the database holds."""
        with self._lock:
            if self._waiting is batch:
                self._waiting = None
        first = records.size(connection)
        tree = self._tree_of(connection, first)
        for index, row in enumerate(batch.rows, first):
            row["index"] = index
            row["hash"] = leaf_hash(entry(index, row["body"]))  # type: ignore[arg-type]  # bytes, by `append`
        tree.extend(row["hash"] for row in batch.rows)  # type: ignore[misc]  # bytes, as above
        records.add_leaves(connection, batch.rows)
        self._trees[1:] = [tree]
        batch.tree = tree
        if tree.size - self._signed >= self._checkpoint_leaves:
            self._checkpoint(connection)
        return first

    def _tree_of(self, connection: Connection, size: int) -> CompactRange:
        """A copy of the tree of the first `size` leaves, from memory when it is there."""
        for tree in reversed(self._trees):
            if tree.size == size:
                return tree.copy()
        return resume(connection, self._signer.verifier).tree

    def _tell(self, batch: _Batch, written: "Future[int]") -> None:
        """Runs in the writer thread, after the COMMIT or its failure."""
        failure = written.exception()
        if failure is not None or batch.tree is None:
            self._refuse(batch, failure)
            return
        with self._lock:
            if batch.tree.size > self._trees[0].size:
                self._trees[0] = batch.tree
        for index, done in enumerate(batch.told, written.result()):
            done.set_result(index)

    def _refuse(self, batch: _Batch, failure: BaseException | None) -> None:
        with self._lock:
            if self._waiting is batch:  # it failed before it was written
                self._waiting = None
            del self._trees[1:]
            self._signed = 0  # read again by the next checkpoint
        logger.error("audit records were not written", exc_info=failure)
        refused = Unavailable("The audit log cannot take a record now.")
        refused.__cause__ = failure
        for done in batch.told:
            done.set_exception(refused)

    def _checkpoint(self, connection: Connection) -> None:
        """Sign the tree as this transaction sees it, unless that was done."""
        size = records.size(connection)
        last = records.last_checkpoint(connection)
        if last is not None and last.size >= size:
            self._signed = last.size
            return
        tree = self._tree_of(connection, size)
        note = self._signer.sign(size, tree.root())
        row = CheckpointRow(size, note, b"".join(tree.roots))
        records.add_checkpoint(connection, row, epoch_ms(self._clock.now()))
        self._signed = size

    def _sign(self) -> None:
        """A durable checkpoint of everything before it, and a copy where the database is not."""
        self._database.write(self._checkpoint)
        last = self._database.read(records.last_checkpoint)
        if self._held is not None and last is not None:
            try:
                durable.replace(self._held, last.note.encode(), 0o644)
            except OSError as error:
                raise Unavailable(f"{self._held} cannot be written.") from error

    def vouch(self, size: int) -> None:
        """See to it that a checkpoint covers the first `size` records, which are durable."""
        if self._signed < size:
            self._sign()

    def _resumed(self, connection: Connection) -> Resumed:
        if self._held is not None and self._held.exists():
            not_older(connection, self._signer.verifier, self._held.read_text())
        return resume(connection, self._signer.verifier)

    def _tick(self) -> None:
        """Sign the tail of a log that is written slowly."""
        while not self._stopping.wait(self._checkpoint_s):
            if self.size > self._signed:
                try:
                    self._sign()
                except Unavailable:
                    logger.warning("no checkpoint could be signed; trying again", exc_info=True)

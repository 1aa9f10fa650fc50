"""Receipts out of the log: two records, and their way up to a signed checkpoint.

The checkpoint is the oldest that covers both. What lies before the call is known by the compact
range of the checkpoint before it, so that a receipt costs the leaves between two checkpoints and
not the whole log.
"""

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from bastide.audit import records, retirement_records
from bastide.audit.log import MerkleLog
from bastide.audit.model import Kind, Record, decode
from bastide.audit.resume import frontier
from bastide.db import Database
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.merkle import CompactRange, inclusion_proof
from bastide.kernel.receipts import Proved, Receipt

_PAGE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """The receipts that a region can give out."""

    database: Database
    log: MerkleLog

    def receipt(self, event_id: str) -> Receipt:
        """The receipt of the call, or of the act at the gate, with this id, under a checkpoint
        that is signed now if none covers it yet. ServiceError where there is none."""
        begun = self.database.read(lambda c: _begun(c, event_id))
        if begun is None:
            raise _none(f"No call {event_id} is in the log, or it was retired.")
        index, record = begun
        opened, end = (index, self._end(index)) if record.kind == Kind.CALL else (None, index)
        self.log.vouch(end + 1)
        found = self.database.read(lambda c: self._proved(c, opened, end))
        if found is None:
            raise Unavailable("The checkpoint of this receipt could not be read.")
        return found

    def signed_receipt(self, connection: Connection, opened: int) -> Receipt | None:
        """The receipt of the call at this index, or None while no checkpoint covers it."""
        ended = records.ends(connection, [opened]).get(opened)
        if ended is None or decode(ended[1]).inference is None:
            return None
        return self._proved(connection, opened, ended[0])

    def _end(self, opened: int) -> int:
        ended = self.database.read(lambda c: records.ends(c, [opened])).get(opened)
        if ended is None:
            raise _none("The call has not ended, or its end is not in the log.")
        if decode(ended[1]).inference is None:
            raise _none("The call was no inference that succeeded.")
        return ended[0]

    def _proved(self, connection: Connection, opened: int | None, end: int) -> Receipt | None:
        goal = records.next_checkpoint(connection, end + 1)
        if goal is None:
            return None
        base = records.last_checkpoint(connection, end if opened is None else opened)
        before = frontier(base, self.log.verifier) if base is not None else CompactRange()
        leaves = _leaves(connection, before.size, goal.size)
        hashes = [leaf for _, leaf in leaves]

        def proved(index: int) -> Proved:
            body = leaves[index - before.size][0]
            return Proved(index, body, tuple(inclusion_proof(hashes, index, before)))

        return Receipt(None if opened is None else proved(opened), proved(end), goal.note)


def _leaves(connection: Connection, first: int, size: int) -> list[tuple[bytes, bytes]]:
    """(body, hash) from `first` up to a tree of `size`."""
    found: list[tuple[bytes, bytes]] = []
    while (at := first + len(found)) < size:
        page = records.leaves_from(connection, at, min(_PAGE, size - at))
        found += [(body, digest) for _, body, digest in page]
        if not page:
            raise Unavailable("The log ends before its checkpoint.")
    return found


def _begun(connection: Connection, event_id: str) -> tuple[int, Record] | None:
    """The call, or the act at the gate, with this id, looked for from the newest record on."""
    needle, before = b'"id":' + msgspec.json.encode(event_id), records.size(connection)
    retired = retirement_records.retired(connection)
    while before > retired:
        first = max(retired, before - _PAGE)
        page = records.leaves_from(connection, first, before - first)
        for index, body, _ in reversed(page):
            if needle in body and _begins(record := decode(body), event_id):
                return index, record
        before = first
    return None


def _begins(record: Record, event_id: str) -> bool:
    return record.id == event_id and (record.kind == Kind.CALL or record.transfer is not None)


def _none(why: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"There is no such receipt. {why}")

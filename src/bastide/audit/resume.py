"""Go on with a stored log, if it still is what its last checkpoint says.

The newest leaves are hashed again from their bodies; those before them are vouched for by an
older checkpoint and its compact range. `bastide audit verify` checks all of it.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from bastide.audit import records, retirement_records
from bastide.audit.records import CheckpointRow
from bastide.kernel.merkle import HASH_SIZE, CompactRange, leaf_hash
from bastide.kernel.notes import BadNote, Verifier
from bastide.kernel.receipts import entry

RECHECKED_MIN = 10_000
_PAGE = 2_000


class TornLog(Exception):
    """The stored log is not the one that was signed. `index` is the first record at fault."""

    def __init__(self, index: int, what: str) -> None:
        super().__init__(f"audit record {index}: {what}")
        self.index = index


@dataclass(frozen=True, slots=True)
class Resumed:
    """The tree as stored, and how much of it is signed."""

    tree: CompactRange
    signed: int


def resume(connection: Connection, verifier: Verifier) -> Resumed:
    """Read the stored log's end. TornLog if it does not match its last checkpoint."""
    last = records.last_checkpoint(connection)
    if last is None:
        if records.size(connection):
            raise TornLog(0, "no checkpoint vouches for it")
        return Resumed(CompactRange(), 0)
    goal = (last.size, _signed_root(last, verifier))
    base = records.last_checkpoint(connection, max(0, last.size - RECHECKED_MIN))
    tree = CompactRange()
    if base is not None:
        tree = frontier(base, verifier)
    return Resumed(_grown(connection, tree, goal), last.size)


def not_older(connection: Connection, verifier: Verifier, held: str) -> None:
    """TornLog if the stored log lacks a checkpoint that was kept outside the database."""
    try:
        checkpoint = verifier.open(held)
    except BadNote as error:
        raise TornLog(0, f"the checkpoint kept beside the database is not ours: {error}") from error
    row = records.last_checkpoint(connection, checkpoint.size)
    if row is None or row.size != checkpoint.size:
        raise TornLog(
            records.size(connection),
            f"it is missing: the database is older than its checkpoint of {checkpoint.size}",
        )
    if _signed_root(row, verifier) != checkpoint.root:
        raise TornLog(checkpoint.size, "the log before it is not the one that was kept in mind")


def _grown(
    connection: Connection, tree: CompactRange, goal: tuple[int, bytes] | None
) -> CompactRange:
    """`tree` with all stored leaves after it; on the way it must pass through `goal`."""
    if goal is not None and tree.size == goal[0]:
        goal = None
    base, retired = tree.size, retirement_records.retired(connection)
    while page := records.leaves_from(connection, tree.size, _PAGE):
        for index, body, stored in page:
            if index != tree.size:
                raise TornLog(tree.size, "it is missing")
            is_there = body or index >= retired  # of a retired record the hash is left
            if is_there and leaf_hash(entry(index, body)) != stored:
                raise TornLog(index, "it does not match its hash")
            tree.extend((stored,))
            if goal is not None and tree.size == goal[0]:
                if tree.root() != goal[1]:
                    raise TornLog(base, f"it or one up to {index} is not what was signed")
                goal = None
    if goal is not None:
        raise TornLog(tree.size, f"it is missing, but {goal[0]} records were signed")
    return tree


def _signed_root(row: CheckpointRow, verifier: Verifier) -> bytes:
    try:
        checkpoint = verifier.open(row.note)
    except BadNote as error:
        raise TornLog(row.size, f"the checkpoint before it is not ours: {error}") from error
    if checkpoint.size != row.size:
        raise TornLog(row.size, "the checkpoint before it was moved")
    return checkpoint.root


def frontier(row: CheckpointRow, verifier: Verifier) -> CompactRange:
    steps = range(0, len(row.frontier), HASH_SIZE)
    try:
        tree = CompactRange(row.size, [row.frontier[at : at + HASH_SIZE] for at in steps])
    except ValueError as error:
        raise TornLog(row.size, "the frontier before it is broken") from error
    if tree.root() != _signed_root(row, verifier):
        raise TornLog(row.size, "the frontier before it is not what was signed")
    return tree

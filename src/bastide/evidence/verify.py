"""The offline verifier: is this log what was signed, all of it and nothing else?

It needs the stored log and the public key, and none of the server's code. Every leaf is hashed
again and the tree rebuilt once; a checkpoint holds if its signature does and its root is the
rebuilt tree's at that size, which makes any two that hold consistent with each other. Of a record
that was retired the hash is left, and another record that says so (`retired.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from bastide.evidence.retired import Finding, Retirements, show
from bastide.evidence.rows import Row, columns_agree, is_whole, leaf_head
from bastide.evidence.stored import Log, opened
from bastide.kernel.merkle import HASH_SIZE, CompactRange
from bastide.kernel.notes import BadNote, Checkpoint, Verifier, parse_verifier
from bastide.kernel.retirement import BadRetirement

FAULTS_MAX = 20
_NOTHING = ["", 0, "", None]  # what the columns of a retired record say
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, at the record of this index (the first one, if it may be several)."""

    index: int
    what: str

    def __str__(self) -> str:
        return f"record {self.index}: {self.what}"


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What the verifier found. `signed` records are covered by a good checkpoint."""

    origin: str
    records: int = 0
    signed: int = 0
    checkpoints: int = 0
    root: bytes = b""
    faults: list[Fault] = field(default_factory=list)
    retired: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults

    def text(self) -> str:
        """For a person."""
        lines = [
            f"{self.origin}: {self.records} records, {self.checkpoints} signed checkpoints, "
            f"tree head {self.root.hex()[:16]}…"
        ]
        if self.records > self.signed:
            lines.append(f"the newest {self.records - self.signed} await the next checkpoint")
        lines += [one.text() for one in self.retired]
        lines += [f"FAULT {fault}" for fault in self.faults]
        lines.append("The log is whole." if self.ok else "The log is NOT what was signed.")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """For a machine."""
        return {
            "ok": self.ok,
            "origin": self.origin,
            "records": self.records,
            "signed": self.signed,
            "checkpoints": self.checkpoints,
            "root": self.root.hex(),
            "retired": [one.as_dict() for one in self.retired],
            "faults": [{"index": fault.index, "what": fault.what} for fault in self.faults],
        }


def verify(
    where: str,
    public_key: str,
    *,
    progress: Progress | None = None,
    held: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> Verdict:
    """Check the log at `where` (SQLite path, or a PostgreSQL URL) with the verifier key in
    `public_key`. `held`: checkpoints that somebody kept elsewhere, which must hold as well.
    `files`: of retired records."""
    verifier = parse_verifier(public_key)
    with opened(where) as log:
        return verify_log(log, verifier, progress=progress, held=held, files=files)


def verify_log(
    log: Log,
    verifier: Verifier,
    *,
    progress: Progress | None = None,
    held: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> Verdict:
    """Check one snapshot of a log."""
    check = _Check(verifier, log.checkpoints(), held)
    total = log.count() if progress is not None else 0
    for page in log.leaves():
        check.page(page)
        if progress is not None:
            progress(check.verdict.records, total)
        if check.stopped:
            break
    check.end(log)
    for path in files:
        check.file(log, path)
    return check.verdict


class _Check:
    """The tree as it is rebuilt, and the checkpoints that it has yet to pass."""

    def __init__(
        self, verifier: Verifier, stored: Sequence[tuple[Any, Any]], held: Sequence[str]
    ) -> None:
        self.verdict = Verdict(origin=verifier.name)
        self._tree = CompactRange()
        self._retired = Retirements()
        self.stopped = False
        self._broken = False  # a hash is not known: later roots cannot be compared
        self._ahead: list[Checkpoint] = []
        self._passed = 0  # the size of the last checkpoint that held
        for size, note in stored:
            self._admit(verifier, size, note)
        for note in held:
            self._admit(verifier, None, note)
        self._ahead.sort(key=lambda checkpoint: checkpoint.size, reverse=True)
        if not self._ahead:
            self._fault(0, "no signed checkpoint vouches for it")
        self._pass_checkpoints()

    def page(self, rows: Sequence[Row]) -> None:
        """Whole pages at once, as nearly all are; row by row where something is wrong."""
        if self._broken or not is_whole(rows, self.verdict.records):
            self._row_by_row(rows)
            return
        self._retired.look(rows)
        self._extend([row[2] for row in rows])

    def _extend(self, hashes: list[bytes]) -> None:
        done = 0
        while done < len(hashes) and not self.stopped:
            first = self.verdict.records
            end = len(hashes)
            if self._ahead and not self._broken:
                end = min(end, done + self._ahead[-1].size - first)
            if not self._broken:
                self._tree.extend(hashes[done:end])
            self.verdict.records += end - done
            done = end
            if not self._broken:
                self._pass_checkpoints()

    def _row_by_row(self, rows: Sequence[Row]) -> None:
        for row in rows:
            index, _, stored, *_ = row
            if index != self.verdict.records:
                self._gap(index)
                return
            self._one(row)
            self.verdict.records += 1
            if self.stopped:
                return
            if not self._broken:
                self._tree.extend((stored,))
                if self._ahead and self._ahead[-1].size == self._tree.size:
                    self._pass_checkpoints()

    def _one(self, row: Row) -> None:
        """The record at the place where it should be."""
        index, body, stored, *columns = row
        if type(body) is not bytes or type(stored) is not bytes or len(stored) != HASH_SIZE:
            self._fault(index, "it is no record", breaks=True)
        elif not body:
            self._retired.is_gone(index)
            if columns != _NOTHING:
                self._fault(index, "its columns say something, but its body is gone")
        elif sha256(leaf_head(0, index) + body).digest() != stored:
            self._fault(index, "it is not what its hash says")
        elif not columns_agree(body, *columns):
            self._fault(index, "its columns do not say what it says")
        else:
            self._retired.look((row,))

    def end(self, log: Log) -> None:
        """Whatever was signed must have been there; what is not there any more was retired."""
        self.verdict.root = self._tree.root()
        self.verdict.retired = self._retired.findings(log, self.verdict.signed)
        lost = self._retired.unexplained(self.verdict.retired)
        if lost is not None:
            self._fault(lost, "it is gone, and no approved retirement names it")
        if self._ahead and not self._broken and not self.stopped:
            size = self._ahead[0].size
            self._fault(self.verdict.records, f"it is missing; {size} records were signed")

    def file(self, log: Log, path: Path) -> None:
        """Whether a file shows records that were retired, as they were."""
        try:
            show(log, self.verdict.origin, self.verdict.retired, path)
        except BadRetirement as error:
            self._fault(0, f"or a later one, is not shown by {path.name}: {error}")

    def _admit(self, verifier: Verifier, size: Any, note: Any) -> None:
        where = size if isinstance(size, int) else 0
        try:
            checkpoint = verifier.open(note if isinstance(note, str) else "")
        except BadNote as error:
            self._fault(max(0, where - 1), f"the checkpoint after it is bad: {error}")
            return
        if size is not None and checkpoint.size != size:
            self._fault(max(0, where - 1), f"the checkpoint of {checkpoint.size} was moved here")
        self._ahead.append(checkpoint)
        self.verdict.checkpoints += 1

    def _pass_checkpoints(self) -> None:
        while self._ahead and self._ahead[-1].size == self._tree.size:
            checkpoint = self._ahead.pop()
            if checkpoint.root != self._tree.root():
                last = max(self._passed, checkpoint.size - 1)
                self._fault(
                    self._passed, f"it, or one up to record {last}, was rewritten", breaks=True
                )
                return
            self._passed = self.verdict.signed = checkpoint.size

    def _gap(self, index: Any) -> None:
        """After a gap nothing can be compared any more."""
        expected = self.verdict.records
        later = isinstance(index, int) and index > expected
        self._fault(expected, "it is missing" if later else "it is misplaced", breaks=True)
        self.stopped = True

    def _fault(self, index: int, what: str, *, breaks: bool = False) -> None:
        self.verdict.faults.append(Fault(index, what))
        self._broken = self._broken or breaks
        self.stopped = self.stopped or len(self.verdict.faults) >= FAULTS_MAX

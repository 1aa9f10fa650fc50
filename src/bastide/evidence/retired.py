"""The verifier's part about retired records: which the log says were retired, and their files.

A leaf without its body is whole only if a record under a signed checkpoint says that it was
retired, and another that two officers' approval of exactly that was used. A file shows the bodies
again: each must have the hash that stayed in the log.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bastide.evidence.stored import Log
from bastide.kernel.merkle import leaf_hash
from bastide.kernel.receipts import entry
from bastide.kernel.retirement import (
    LINE_MAX,
    MARK,
    OPERATION,
    BadRetirement,
    Retired,
    is_about,
    read_facts,
    read_header,
)


@dataclass(slots=True, kw_only=True)
class Finding:
    """A retirement that the log vouches for, by its record `index`. `gone`: bodies that are not
    there; `file`: which shows them all."""

    said: Retired
    index: int
    gone: int = 0
    file: str = ""

    def text(self) -> str:
        what = self.said.what
        head = (
            f"{self.gone} of the records {what.first} to {what.size - 1} were retired by approval "
        )
        tail = f"{self.file} shows them as they were" if self.file else (
            f"their hashes are kept; {what.file_name} shows them"
        )  # fmt: skip
        return f"{head}{self.said.request}: {tail}"

    def as_dict(self) -> dict[str, Any]:
        what = self.said.what
        return {
            "first": what.first, "last": what.size - 1, "gone": self.gone,
            "request": self.said.request, "record": self.index,
            "file": self.file or what.file_name, "shown": bool(self.file),
        }  # fmt: skip


@dataclass(slots=True)
class Retirements:
    """What a pass over the log has met of them."""

    _said: list[tuple[int, Retired]] = field(default_factory=list)
    _used: set[tuple[str, str]] = field(default_factory=set)
    _gone: list[list[int]] = field(default_factory=list)  # [first, after] of leaves without a body

    def look(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Remember what these rows, whose hashes hold, say of retirements."""
        for index, body, *_ in [row for row in rows if not row[3]]:  # the region's own
            if MARK in body:
                self._read(index, body)

    def is_gone(self, index: int) -> None:
        """This leaf has no body."""
        if self._gone and self._gone[-1][1] == index:
            self._gone[-1][1] = index + 1
        else:
            self._gone.append([index, index + 1])

    def findings(self, log: Log, signed: int) -> list[Finding]:
        """Those that hold. `signed`: how many records a checkpoint vouches for."""
        return [
            Finding(said=said, index=index, gone=self._count(said))
            for index, said in self._said
            if self._holds(log, index, said, signed)
        ]

    def unexplained(self, findings: Sequence[Finding]) -> int | None:
        """The first leaf without a body that nobody retired."""
        ranges = sorted((one.said.what.first, one.said.what.size) for one in findings)
        for first, after in self._gone:
            at = first
            for begin, end in ranges:
                if begin <= at:
                    at = max(at, end)
            if at < after:
                return at
        return None

    def _read(self, index: int, body: bytes) -> None:
        try:
            record = json.loads(body)
        except (ValueError, RecursionError):  # a hash holds of whatever somebody wrote there
            return
        if not is_about(record) or record.get("decision") != "allow":
            return
        facts = record["facts"]
        if record.get("operation") == "UseApproval":
            self._used.add((str(facts.get("request")), str(facts.get("digest"))))
        elif record.get("operation") == OPERATION:
            try:
                self._said.append((index, read_facts(facts)))
            except BadRetirement:
                return  # it explains nothing: what it meant to is found without an explanation

    def _holds(self, log: Log, index: int, said: Retired, signed: int) -> bool:
        what = said.what
        if index >= signed or what.size > index or (said.request, what.digest) not in self._used:
            return False
        hashes = b"".join(log.hashes(what.first, what.size))
        return hashlib.sha256(hashes).hexdigest() == what.hashes_sha256

    def _count(self, said: Retired) -> int:
        first, size = said.what.first, said.what.size
        return sum(max(0, min(after, size) - max(begin, first)) for begin, after in self._gone)


def show(log: Log, origin: str, findings: Sequence[Finding], path: Path) -> None:
    """Hold a file against the log; its finding has it from now on. BadRetirement where it is not
    what the log says: the text says why."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    named = [one for one in findings if one.said.file_sha256 == digest]
    if not named:
        raise BadRetirement("the log tells of no such file of retired records")
    try:
        with gzip.open(path) as lines:
            _compare(log, origin, named[0].said, _bounded(lines))
    except (OSError, EOFError, zlib.error) as error:
        raise BadRetirement("it cannot be unpacked") from error
    for one in named:
        one.file = path.name


def _compare(log: Log, origin: str, said: Retired, lines: Iterator[bytes]) -> None:
    what = said.what
    if read_header(next(lines, b"")) != (origin, what.first, what.size):
        raise BadRetirement("it is of other records")
    hashes = log.hashes(what.first, what.size)
    for index, stored in enumerate(hashes, what.first):
        body = next(lines, b"").removesuffix(b"\n")
        if leaf_hash(entry(index, body)) != stored:
            raise BadRetirement(f"record {index} in it is not the one of the log")
    if next(lines, None) is not None:
        raise BadRetirement("it holds more than was retired")


def _bounded(lines: gzip.GzipFile) -> Iterator[bytes]:
    return iter(lambda: lines.readline(LINE_MAX), b"")

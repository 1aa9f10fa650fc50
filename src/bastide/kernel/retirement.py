"""The retirement of audit records: what two officers sign, what the log says of it, and the file.

A retired record's body is gone from the log, its leaf hash stays. What says so is a record of the
log itself; records about retirements are never retired. The file is gzip: a line that says of
what it is, then each record, as it was, on a line.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bastide.kernel.approvals import Kind, digest_of

FORMAT = "bastide-retired/1"
OPERATION = "RetireRecords"
MARK = b'"audit-retirement"'  # is in each record about a retirement
LINE_MAX = 1024 * 1024
_INDEX_MAX = 2**63


class BadRetirement(ValueError):
    """What says that it retires records, or holds them, and does not; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """The records from `first` up to a log of `size`. `hashes_sha256`: of their leaf hashes, one
    after the other, so that it stands for what they say. `newest`: when the last one was made."""

    first: int
    size: int
    newest: str
    hashes_sha256: str

    def action(self) -> dict[str, Any]:
        """What two officers sign."""
        return {"change": "retire audit records", **asdict(self)}

    @property
    def digest(self) -> str:
        return digest_of(self.action())

    @property
    def file_name(self) -> str:
        return f"records-{self.first:012}-{self.size:012}.jsonl.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """What the log says of a retirement that was approved: by which request, into which file."""

    what: Retirement
    request: str
    file_sha256: str

    def facts(self) -> dict[str, str]:
        said = {name: str(value) for name, value in asdict(self.what).items()}
        return {
            "kind": Kind.AUDIT_RETIREMENT.value, "request": self.request,
            "digest": self.what.digest, **said, "file": self.what.file_name,
            "file_sha256": self.file_sha256,
        }  # fmt: skip


def is_about(record: object) -> bool:
    """Whether a record is about a retirement: asked, signed, used, done. Only what the region
    writes of its operators is."""
    if not isinstance(record, dict):
        return False
    facts = record.get("facts")
    return (
        record.get("kind") == "operator"
        and isinstance(facts, dict)
        and facts.get("kind") == Kind.AUDIT_RETIREMENT.value
    )


def read_facts(facts: Mapping[str, Any]) -> Retired:
    """Of a record `RetireRecords`. Raises BadRetirement."""
    try:
        what = Retirement(
            first=_index(facts["first"]), size=_index(facts["size"]),
            newest=str(facts["newest"]), hashes_sha256=str(facts["hashes_sha256"]),
        )  # fmt: skip
        said = Retired(
            what=what, request=str(facts["request"]), file_sha256=str(facts["file_sha256"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadRetirement("it does not say what it retires") from error
    if said.facts() != facts:
        raise BadRetirement("it does not say what was signed")
    return said


def header(origin: str, what: Retirement) -> bytes:
    """The first line of the file."""
    said = {"format": FORMAT, "origin": origin, "first": what.first, "size": what.size}
    return json.dumps(said).encode() + b"\n"


def read_header(line: bytes) -> tuple[str, int, int]:
    """(origin, first, size). Raises BadRetirement."""
    try:
        said = json.loads(line)
        origin, first, size = said["origin"], _index(said["first"]), _index(said["size"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BadRetirement("it is no file of retired records") from error
    if said.get("format") != FORMAT or not isinstance(origin, str):
        raise BadRetirement("it is no file of retired records")
    return origin, first, size


def _index(said: Any) -> int:
    found = int(said)
    if not 0 <= found < _INDEX_MAX:
        raise ValueError("no place in a log")
    return found

"""Records of a stored log, for `bastide audit show`: filtered, the last ones, in order."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bastide.evidence.stored import opened

LAST_MAX = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records to show. `operation`: all of it, or what follows the dot."""

    account: str | None = None
    operation: str | None = None
    since: datetime | None = None
    last: int = 20

    def takes(self, record: Mapping[str, Any]) -> bool:
        named = str(record.get("operation", ""))
        return (self.account is None or record.get("account") == self.account) and (
            self.operation is None or self.operation in (named, named.partition(".")[2])
        )

    def is_before(self, record: Mapping[str, Any]) -> bool:
        return self.since is not None and record.get("time", 0) < self.since.timestamp() * 1000


def show(where: str, wanted: Wanted) -> list[dict[str, Any]]:
    """The last records that are wanted, the oldest first; each with its `index`."""
    found: list[dict[str, Any]] = []
    with opened(where) as log:
        for index, body in log.newest():
            if not body:  # it was retired
                continue
            record = _read(index, body)
            if wanted.takes(record) and not wanted.is_before(record):
                found.append(record)
                if len(found) >= min(wanted.last, LAST_MAX):
                    break
    return found[::-1]


def _read(index: int, body: bytes) -> dict[str, Any]:
    try:
        record = json.loads(body)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        return {"index": index, "unreadable": len(body)}
    at = record.get("time")
    if isinstance(at, int):
        record["at"] = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    return {"index": index, **record}

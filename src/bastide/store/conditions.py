"""Conditional requests and ranges.

Sources: RFC 9110, 13 and 14; how S3 combines the four:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from bastide.kernel.call import Call
from bastide.store import errors
from bastide.store.model import Version
from bastide.store.requests import moment, quoted

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What must hold of an object that is read (or copied)."""

    match: str | None = None
    none_match: str | None = None
    modified_since: datetime | None = None
    unmodified_since: datetime | None = None

    def failed(self, version: Version) -> str | None:
        """The header that does not hold, or None. The weaker of a pair counts only alone."""
        modified_s = version.modified_ms // 1000
        if self.match is not None:
            if not _matches(self.match, version.etag):
                return "If-Match"
        elif self.unmodified_since and modified_s > self.unmodified_since.timestamp():
            return "If-Unmodified-Since"
        if self.none_match is not None:
            return "If-None-Match" if _matches(self.none_match, version.etag) else None
        if self.modified_since and modified_s <= self.modified_since.timestamp():
            return "If-Modified-Since"
        return None


def of_read(req: Mapping[str, Any]) -> Conditions:
    return Conditions(
        match=req.get("IfMatch"),
        none_match=req.get("IfNoneMatch"),
        modified_since=req.get("IfModifiedSince"),
        unmodified_since=req.get("IfUnmodifiedSince"),
    )


def of_copy_source(req: Mapping[str, Any]) -> Conditions:
    return Conditions(
        match=req.get("CopySourceIfMatch"),
        none_match=req.get("CopySourceIfNoneMatch"),
        modified_since=req.get("CopySourceIfModifiedSince"),
        unmodified_since=req.get("CopySourceIfUnmodifiedSince"),
    )


def check_read(call: Call, conditions: Conditions, version: Version) -> None:
    failed = conditions.failed(version)
    if failed in ("If-None-Match", "If-Modified-Since"):
        modified = format_datetime(moment(version.modified_ms), usegmt=True)
        call.notes.headers |= {"etag": quoted(version.etag), "last-modified": modified}
        raise errors.not_modified()
    if failed:
        raise errors.precondition_failed(failed)


def check_copy_source(conditions: Conditions, version: Version) -> None:
    failed = conditions.failed(version)
    if failed:
        raise errors.precondition_failed(f"x-amz-copy-source-{failed}")


def check_write(
    match: str | None, none_match: str | None, current: Version | None, key: str
) -> None:
    """A put or delete that depends on what is there now."""
    there = current is not None and not current.is_marker
    if match is not None:
        if current is None or not there:
            raise errors.no_such_key(key)
        if not _matches(match, current.etag):
            raise errors.precondition_failed("If-Match")
    if none_match is None or current is None or not there:
        return
    if _matches(none_match, current.etag):
        raise errors.precondition_failed("If-None-Match")


def range_of(header: str | None, size: int) -> tuple[int, int] | None:
    """[start, end) of a Range header; None when there is none that S3 heeds (several ranges, or
    not a range at all: the whole object is answered)."""
    found = _RANGE.fullmatch(header or "")
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise errors.invalid_range(header or "", size)
    return start, end


def _matches(header: str, etag: str) -> bool:
    wanted = (each.strip().removeprefix("W/").strip('"') for each in header.split(","))
    return any(each in ("*", etag) for each in wanted)

"""multipart/form-data of one file that streams: the fields before it are held, within a bound.

Strict, as the sender is not known yet: every part is named, no name comes twice, what begins a
line like the boundary is the boundary, and the last one must be there. Source: RFC 7578, RFC 2046.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bastide.kernel.errors import ServiceError
from bastide.wire.arrival import Pace, Receive, Room
from bastide.wire.payload import UNIT_SIZE, Source
from bastide.wire.types import RawRequest

KIND = "multipart/form-data"
HEAD_SIZE_MAX = 20 * 1024  # as S3's
TAIL_SIZE_MAX = 20 * 1024  # fields behind the file, which are ignored
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\Z")
_PARAMETER = re.compile(
    r";[ \t]*([A-Za-z-]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\";,]+))[ \t]*", re.DOTALL
)
_HEADER_NAME = re.compile(r"[a-z0-9-]+\Z")
_AS_IT_IS = frozenset({"binary", "8bit", "7bit"})
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostForm:
    """What came before the file. `receive` gives the file's first byte next; `mark` ends it."""

    fields: Mapping[str, str]  # by name in lower case
    filename: str
    mark: bytes
    receive: Receive


async def read_form(raw: RawRequest, receive: Receive, room: Room) -> PostForm:
    """The form up to its file. ServiceError for one that is malformed, too long, or has none."""
    kind, parameters = _parameters(raw.header("content-type") or "")
    boundary = parameters.get("boundary", "")
    if kind != KIND or not _BOUNDARY.match(boundary):
        raise malformed()
    head = _Head(receive, room, raw.source)
    try:
        return await _read_fields(head, b"\r\n--" + boundary.encode(), receive)
    finally:
        head.close()


async def _read_fields(head: "_Head", mark: bytes, receive: Receive) -> PostForm:
    fields: dict[str, str] = {}
    if (await head.until(mark)).strip(b"\r\n"):
        raise malformed()
    while (line_end := await head.take(2)) == b"\r\n":
        name, filename = _disposition(await head.until(b"\r\n\r\n"))
        if name == "file":
            return PostForm(fields=fields, filename=filename, mark=mark, receive=head.rest(receive))
        value = _text(await head.until(mark))
        if name in fields or "\0" in value:
            raise malformed()
        fields[name] = value
    if line_end != b"--":
        raise malformed()
    raise ServiceError(
        "InvalidArgument",
        "POST requires exactly one file upload per request.",
        status=400,
        members={"ArgumentName": "file", "ArgumentValue": "0"},
    )


class _Head:
    """What has come of the body, up to the file's first byte."""

    def __init__(self, receive: Receive, room: Room, source: str) -> None:
        self._pace, self._room, self._source = Pace(receive), room, source
        self._held = bytearray(b"\r\n")  # so that the first boundary is like all others
        self._used = self._taken = 0
        self._more = True

    async def until(self, mark: bytes) -> bytes:
        """What comes before the next `mark`."""
        start = 0
        while (end := self._held.find(mark, start)) < 0:
            start = max(0, len(self._held) - len(mark) + 1)
            await self._receive()
        found = self._cut(end)
        self._cut(len(mark))
        return found

    async def take(self, size: int) -> bytes:
        while len(self._held) < size:
            await self._receive()
        return self._cut(size)

    def _cut(self, size: int) -> bytes:
        self._used += size
        self._check_size(self._used)
        found = bytes(self._held[:size])
        del self._held[:size]
        return found

    async def _receive(self) -> None:
        self._check_size(self._used + len(self._held))
        if not self._more:
            raise malformed()
        part, self._more = await self._pace.part()
        self._room.take(self._source, len(part))
        self._taken += len(part)
        self._held += part

    def _check_size(self, size: int) -> None:
        if size > HEAD_SIZE_MAX:
            raise ServiceError(
                "MaxPostPreDataLengthExceeded",
                "Your POST request fields preceding the upload file were too large.",
                status=400,
            )

    def rest(self, receive: Receive) -> Receive:
        """What was read ahead of the file, and then what comes."""
        ahead = [{"type": "http.request", "body": bytes(self._held), "more_body": self._more}]

        async def next_part() -> dict[str, Any]:
            return ahead.pop() if ahead else await receive()

        return next_part

    def close(self) -> None:
        self._room.leave(self._source, self._taken)


class FilePart:
    """Implements payload.Source: the file's bytes, as many as `size_range` lets through."""

    def __init__(self, source: Source, mark: bytes, size_range: tuple[int, int]) -> None:
        self._source, self._mark = source, mark
        self._size_min, self._size_max = size_range
        self._buffer = bytearray(UNIT_SIZE + len(mark))
        self._view = memoryview(self._buffer)
        self._at = self._ready = self._limit = 0  # of the buffer: taken, surely the file's, filled
        self._given = 0
        self._is_last = False

    def readinto(self, view: memoryview) -> int:
        while self._at == self._ready:
            if self._is_last:
                return self._end()
            self._fill()
        size = min(len(view), self._ready - self._at)
        self._given += size
        if self._given > self._size_max:
            raise _wrong_size(
                "EntityTooLarge", "exceeds the maximum", MaxSizeAllowed=self._size_max
            )
        view[:size] = self._view[self._at : self._at + size]
        self._at += size
        return size

    def _fill(self) -> None:
        """More of the source behind what may be the beginning of a mark."""
        kept = self._limit - self._at
        self._view[:kept] = bytes(self._view[self._at : self._limit])
        size = self._source.readinto(self._view[kept:])
        if not size:
            raise malformed()
        self._at, self._limit = 0, kept + size
        end = self._buffer.find(self._mark, 0, self._limit)
        self._is_last = end >= 0
        self._ready = end if self._is_last else max(0, self._limit - len(self._mark) + 1)

    def _end(self) -> int:
        """Nothing counts behind the file, but the form must be whole."""
        if self._given < self._size_min:
            raise _wrong_size("EntityTooSmall", "is smaller than the minimum",
                              MinSizeAllowed=self._size_min)  # fmt: skip
        tail = bytearray(self._view[self._ready : self._limit])
        while len(tail) <= TAIL_SIZE_MAX and (size := self._source.readinto(self._view)):
            tail += self._view[:size]
        goes_on = tail.startswith((self._mark + b"--", self._mark + b"\r\n"))
        if len(tail) > TAIL_SIZE_MAX or not goes_on or self._mark + b"--" not in tail:
            raise malformed()
        return 0


def _disposition(block: bytes) -> tuple[str, str]:
    """The name in lower case and the file's name of a part with these headers."""
    headers: dict[str, str] = {}
    for line in _text(block).split("\r\n"):
        name, _, value = line.partition(":")
        name = name.lower()
        if not _HEADER_NAME.match(name) or name in headers or CONTROL.search(value):
            raise malformed()
        headers[name] = value.strip()
    if headers.get("content-transfer-encoding", "binary").lower() not in _AS_IT_IS:
        raise malformed()
    kind, parameters = _parameters(headers.get("content-disposition", ""))
    name = parameters.pop("name", "").lower()
    filename = parameters.pop("filename", "")
    if kind != "form-data" or not name or parameters:
        raise malformed()
    return name, filename


def _parameters(text: str) -> tuple[str, dict[str, str]]:
    """A header's value before the first semicolon, and its parameters; none comes twice."""
    kind = text.partition(";")[0]
    found: dict[str, str] = {}
    at = len(kind)
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None or match[1].lower() in found:
            raise malformed()
        found[match[1].lower()] = match[3] or (match[2] or "").replace('\\"', '"')
        at = match.end()
    return kind.strip().lower(), found


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise malformed() from error


def malformed() -> ServiceError:
    message = "The body of your POST request is not well-formed multipart/form-data."
    return ServiceError("MalformedPOSTRequest", message, status=400)


def missing(field: str) -> ServiceError:
    return ServiceError(
        "InvalidArgument",
        f"Bucket POST must contain a field named '{field}'.  If it is specified, please check the "
        "order of the fields.",
        status=400,
        members={"ArgumentName": field, "ArgumentValue": ""},
    )


def _wrong_size(code: str, what: str, **members: int) -> ServiceError:
    message = f"Your proposed upload {what} allowed size"
    return ServiceError(
        code, message, status=400, members={name: str(size) for name, size in members.items()}
    )

"""CBOR (RFC 8949), the part that Smithy's RPC v2 protocol uses; hostile input meets bounds.

Source: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

import struct
from datetime import UTC, datetime
from typing import Any

from bastide.kernel.errors import ServiceError
from bastide.wire.scalars import epoch

DEPTH_MAX = 64
_SIZES = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}
_BREAK = object()


def _malformed() -> ServiceError:
    return ServiceError("SerializationException", "The body is not valid CBOR.", status=400)


def loads(body: bytes) -> Any:
    """The one data item that `body` is."""
    if not body:
        return {}
    decoder = _Decoder(body)
    try:
        value = decoder.item(0)
    except (IndexError, struct.error, OverflowError, ValueError, OSError) as error:
        raise _malformed() from error
    if decoder.at != len(body) or value is _BREAK:
        raise _malformed()
    return value


class _Decoder:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self.at = 0

    def item(self, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise ValueError("too deep")
        head = self._body[self.at]
        self.at += 1
        major, minor = head >> 5, head & 31
        if major == 7:
            return self._simple(minor)
        if minor == 31:
            return self._open_ended(major, depth)
        size = self._size(minor)
        match major:
            case 0:
                return size
            case 1:
                return -1 - size
            case 2:
                return self._take(size)
            case 3:
                return self._take(size).decode()
            case 4:
                return [self._inner(depth) for _ in range(self._count(size))]
            case 5:
                return {
                    self._key(depth): self._inner(depth) for _ in range(self._count(size * 2) // 2)
                }
        return self._tagged(size, depth)

    def _size(self, minor: int) -> int:
        if minor < 24:
            return minor
        form = _SIZES.get(minor)
        if form is None:
            raise ValueError("reserved")
        width = struct.calcsize(form)
        found: int = struct.unpack(form, self._take(width))[0]
        return found

    def _take(self, size: int) -> bytes:
        if size > len(self._body) - self.at:
            raise ValueError("cut short")
        self.at += size
        return self._body[self.at - size : self.at]

    def _count(self, size: int) -> int:
        if size > len(self._body) - self.at:
            raise ValueError("more items than bytes")
        return size

    def _inner(self, depth: int) -> Any:
        value = self.item(depth + 1)
        if value is _BREAK:
            raise ValueError("stray break")
        return value

    def _key(self, depth: int) -> str:
        key = self._inner(depth)
        if not isinstance(key, str):
            raise ValueError("a key is a string")
        return key

    def _open_ended(self, major: int, depth: int) -> Any:
        parts: list[Any] = []
        while (value := self.item(depth + 1)) is not _BREAK:
            parts.append(value)
        if major == 2 and all(isinstance(part, bytes) for part in parts):
            return b"".join(parts)
        if major == 3 and all(isinstance(part, str) for part in parts):
            return "".join(parts)
        if major == 4:
            return parts
        if major == 5 and len(parts) % 2 == 0:
            keys = parts[::2]
            if all(isinstance(key, str) for key in keys):
                return dict(zip(keys, parts[1::2], strict=True))
        raise ValueError("malformed")

    def _tagged(self, tag: int, depth: int) -> Any:
        value = self._inner(depth)
        if tag == 1 and isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        return value

    def _simple(self, minor: int) -> Any:
        match minor:
            case 20:
                return False
            case 21:
                return True
            case 22 | 23:
                return None
            case 25:
                return struct.unpack(">e", self._take(2))[0]
            case 26:
                return struct.unpack(">f", self._take(4))[0]
            case 27:
                return struct.unpack(">d", self._take(8))[0]
            case 31:
                return _BREAK
        raise ValueError("unknown simple value")


def dumps(value: Any) -> bytes:
    """`value` as one data item; timestamps with tag 1."""
    out = bytearray()
    _write(out, value)
    return bytes(out)


def _write(out: bytearray, value: Any) -> None:
    if value is None:
        out.append(0xF6)
    elif value is True or value is False:
        out.append(0xF5 if value else 0xF4)
    elif isinstance(value, int):
        _head(out, 0, value) if value >= 0 else _head(out, 1, -1 - value)
    elif isinstance(value, float):
        out += b"\xfb" + struct.pack(">d", value)
    elif isinstance(value, bytes):
        _head(out, 2, len(value))
        out += value
    elif isinstance(value, str):
        raw = value.encode()
        _head(out, 3, len(raw))
        out += raw
    elif isinstance(value, datetime):
        out.append(0xC1)
        _write(out, epoch(value))
    else:
        _write_many(out, value)


def _write_many(out: bytearray, value: Any) -> None:
    if isinstance(value, dict):
        _head(out, 5, len(value))
        for key, inner in value.items():
            _write(out, str(key))
            _write(out, inner)
    else:
        _head(out, 4, len(value))
        for inner in value:
            _write(out, inner)


def _head(out: bytearray, major: int, size: int) -> None:
    if size < 24:
        out.append(major << 5 | size)
        return
    for minor, form in _SIZES.items():
        if size < 1 << 8 * struct.calcsize(form):
            out.append(major << 5 | minor)
            out += struct.pack(form, size)
            return
    raise OverflowError("too large for CBOR")

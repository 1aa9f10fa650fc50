"""Checksums of bodies, by S3's names, base64 as S3 writes them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import base64
import hashlib
import zlib
from collections.abc import Callable
from typing import Protocol

from awscrt import checksums as crt

HEADER_PREFIX = "x-amz-checksum-"
OTHER_HEADERS = frozenset({HEADER_PREFIX + name for name in ("algorithm", "mode", "type")})


class Digest(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """A CRC as a digest; `step(data, previous)` continues it."""

    def __init__(self, step: Callable[[bytes | memoryview, int], int], size: int) -> None:
        self._step, self._size, self._value = step, size, 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


ALGORITHMS: dict[str, Callable[[], Digest]] = {
    "CRC32": lambda: _Crc(zlib.crc32, 4),
    "CRC32C": lambda: _Crc(crt.crc32c, 4),
    "CRC64NVME": lambda: _Crc(crt.crc64nvme, 8),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
}


def algorithm_of(header: str) -> str | None:
    """`x-amz-checksum-crc32c` → `CRC32C`; None for a header that names no checksum."""
    name = header.removeprefix(HEADER_PREFIX).upper()
    return name if header.startswith(HEADER_PREFIX) and name in ALGORITHMS else None


def as_text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()

"""ETags and S3's checksums, computed beside the sealing on a thread of their own.

MD5 is S3's ETag, not a protection (600 MB/s: the slowest step of a put). The algorithms:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Protocol

from awscrt import checksums as crt

DEFAULT = "CRC64NVME"
ASIDE_SIZE_MIN = 512 * 1024  # below it a hand-over costs more than it saves
_CRCS: dict[str, tuple[Callable[[bytes | memoryview, int], int], int]] = {
    "CRC32": (zlib.crc32, 4),
    "CRC32C": (crt.crc32c, 4),
    "CRC64NVME": (crt.crc64nvme, 8),
}
_COMBINE: dict[str, Callable[[int, int, int], int]] = {
    "CRC32": crt.combine_crc32,
    "CRC32C": crt.combine_crc32c,
    "CRC64NVME": crt.combine_crc64nvme,
}
ALGORITHMS = frozenset({*_CRCS, "SHA1", "SHA256"})
FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"


class _Running(Protocol):
    def update(self, data: bytes | memoryview, /) -> object: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, name: str) -> None:
        self._step, self._size = _CRCS[name]
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class Digests:
    """One pass over a body: its MD5 and the checksums asked for, one step behind the reader."""

    def __init__(self, algorithms: Collection[str], pool: Executor) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sums = {name: _running(name) for name in algorithms}
        self._pool = pool
        self._behind: Future[None] | None = None

    def feed(self, data: bytes | memoryview) -> None:
        self.settle()
        if len(data) < ASIDE_SIZE_MIN:
            self._step(data)
        else:
            self._behind = self._pool.submit(self._step, data)

    def finish(self) -> tuple[str, dict[str, str]]:
        """The MD5 in hex and the checksums in base64."""
        self.settle()
        sums = {name: _base64(each.digest()) for name, each in self._sums.items()}
        return self._md5.hexdigest(), sums

    def _step(self, data: bytes | memoryview) -> None:
        self._md5.update(data)
        for each in self._sums.values():
            each.update(data)

    def settle(self) -> None:
        """Wait until what was fed is no longer looked at."""
        behind, self._behind = self._behind, None
        if behind is not None:
            behind.result()


def etag_of_parts(etags: Sequence[str]) -> str:
    """`md5-of-md5s-N`, as S3 names a multipart object."""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"


def of_parts(algorithm: str, kind: str, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of a whole, from each part's own (base64) and size."""
    raw = [base64.b64decode(value) for value, _ in parts]
    if kind == FULL_OBJECT:
        return _combined(algorithm, raw, [size for _, size in parts])
    whole = _running(algorithm)
    whole.update(b"".join(raw))
    return f"{_base64(whole.digest())}-{len(parts)}"


def kind_of(algorithm: str) -> str:
    """The type that S3 takes when the client names only an algorithm."""
    return FULL_OBJECT if algorithm == DEFAULT else COMPOSITE


def is_kind_possible(algorithm: str, kind: str) -> bool:
    if kind == FULL_OBJECT:
        return algorithm in _COMBINE
    return kind == COMPOSITE and algorithm != DEFAULT


def members(sums: Mapping[str, str]) -> dict[str, str]:
    """`{"CRC32": …}` as the answer's members: `{"ChecksumCRC32": …}`."""
    return {f"Checksum{name}": value for name, value in sums.items()}


def _running(name: str) -> _Running:
    if name in _CRCS:
        return _Crc(name)
    return hashlib.new(name.lower(), usedforsecurity=False)


def _combined(algorithm: str, raw: Sequence[bytes], sizes: Sequence[int]) -> str:
    combine, width = _COMBINE[algorithm], _CRCS[algorithm][1]
    total = int.from_bytes(raw[0], "big")
    for value, size in zip(raw[1:], sizes[1:], strict=True):
        total = combine(total, int.from_bytes(value, "big"), size)
    return _base64(total.to_bytes(width, "big"))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()

"""A strict reader of a GGUF file's header: metadata and the table of tensors, never the weights.

Every count and length is bounded before it is believed. For files whose digest an operator vouches
for it is a sanity check; what tenants bring is held to more (`importing/gate.py`).
Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
VERSIONS = (2, 3)
HEADER_BYTES_MAX = 64 << 20
KEYS_MAX = 4096
TENSORS_MAX = 65_536
STRING_BYTES_MAX = 1 << 20
ELEMENTS_MAX = 2_000_000
DIMENSIONS_MAX = 4
STRING, ARRAY = 8, 9
SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}


class BadGguf(Exception):
    """Not a GGUF file that we accept; the text says where it is wrong."""


@dataclass(frozen=True, slots=True)
class Elements:
    """An array that was checked and left out."""

    kind: int
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A line of the table: where its bytes begin behind the header, and what they are."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """`values` holds the scalar and string metadata, `arrays` what the lists are of; `end` is where
    the header ends."""

    version: int
    tensors: int
    values: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Elements] = field(default_factory=dict)
    table: tuple[Tensor, ...] = ()
    end: int = 0

    @property
    def context_tokens(self) -> int:
        return self._whole("context_length")

    @property
    def kv_bytes_per_token(self) -> int:
        """Two 16-bit caches (keys, values) for each layer."""
        heads = self._whole("attention.head_count") or 1
        width = self._whole("embedding_length") // heads
        key = self._whole("attention.key_length") or width
        value = self._whole("attention.value_length") or width
        kv_heads = self._whole("attention.head_count_kv") or heads
        return 2 * self._whole("block_count") * kv_heads * (key + value)

    def _whole(self, name: str) -> int:
        found = self.values.get(f"{self.values.get('general.architecture')}.{name}", 0)
        return found if isinstance(found, int) and 0 <= found < 1 << 32 else 0


def read_header(path: Path) -> Header:
    """The header of the file at `path`. Raises BadGguf."""
    with path.open("rb") as file:
        return _Reader(file, path.stat().st_size).header()


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._left = min(size, HEADER_BYTES_MAX)

    def header(self) -> Header:
        if self._take(4) != MAGIC:
            raise BadGguf("it does not begin with GGUF")
        version = self._scalar("I")
        if version not in VERSIONS:
            raise BadGguf(f"its version {version} is not one of {VERSIONS}")
        tensors, keys = self._count("tensors", TENSORS_MAX), self._count("keys", KEYS_MAX)
        values: dict[str, Any] = {}
        for _ in range(keys):
            name, value = self._text(), self._value(self._scalar("I"))
            if name in values:
                raise BadGguf("a key stands twice")
            values[name] = value
        table = {one.name: one for one in (self._tensor() for _ in range(tensors))}
        if len(table) != tensors:
            raise BadGguf("a tensor stands twice")
        arrays = {name: value for name, value in values.items() if isinstance(value, Elements)}
        kept = {name: value for name, value in values.items() if name not in arrays}
        end = self._file.tell()
        return Header(version, tensors, kept, arrays, tuple(table.values()), end)

    def _tensor(self) -> Tensor:
        name = self._text()
        dimensions = self._scalar("I")
        if not 0 < dimensions <= DIMENSIONS_MAX:
            raise BadGguf(f"a tensor has {dimensions} dimensions")
        shape = tuple(self._scalar("Q") for _ in range(dimensions))
        kind, offset = self._scalar("I"), self._scalar("Q")
        if offset >= self._size:
            raise BadGguf("a tensor begins behind the end of the file")
        return Tensor(name, shape, kind, offset)

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._text()
        if kind == ARRAY:
            return self._array()
        if kind not in SCALARS:
            raise BadGguf(f"a value has the unknown type {kind}")
        return self._scalar(SCALARS[kind])

    def _array(self) -> Elements:
        kind = self._scalar("I")
        count = self._count("elements", ELEMENTS_MAX)
        if kind == STRING:
            for _ in range(count):
                self._take(self._count("bytes of text", STRING_BYTES_MAX))
        elif kind in SCALARS:
            self._skip(count * struct.calcsize("<" + SCALARS[kind]))
        else:
            raise BadGguf(f"an array holds the type {kind}")
        return Elements(kind, count)

    def _text(self) -> str:
        raw = self._take(self._count("bytes of text", STRING_BYTES_MAX))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise BadGguf("a text is not UTF-8") from None

    def _count(self, what: str, limit: int) -> int:
        found: int = self._scalar("Q")
        if found > limit:
            raise BadGguf(f"it claims {found} {what}")
        return found

    def _scalar(self, form: str) -> Any:
        return struct.unpack("<" + form, self._take(struct.calcsize("<" + form)))[0]

    def _take(self, size: int) -> bytes:
        self._spend(size)
        data = self._file.read(size)
        if len(data) != size:
            raise BadGguf("it ends within its header")
        return data

    def _skip(self, size: int) -> None:
        self._spend(size)
        self._file.seek(size, 1)

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise BadGguf("its header has no end")

"""Weights as GGUF, read twice: by this strict reader of the whole file, and by llama.cpp itself
(`gguf_library.py`).

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the sizes of blocks: ggml.h.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bastide.transfer.filters import gguf_library
from bastide.transfer.filters.canonical import digest
from bastide.transfer.filters.model import BadItem, Write

KEYS_MAX, TENSORS_MAX, ELEMENTS_MAX = 4_096, 65_536, 2_000_000
HEADER_BYTES_MAX, TEXT_BYTES_MAX = 64 << 20, 1 << 20
VERSIONS = (2, 3)
RANK_MAX = 4
BOOL, STRING, ARRAY = 7, 8, 9
SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", BOOL: "B", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
# type -> (elements of a block, its bytes)
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4),
    27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
}  # fmt: skip
_KEY = re.compile(r"[A-Za-z0-9_.\-/]{1,512}")
Value = tuple[int, Any]  # type and value; of an array: (type of its elements, their values)


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    dimensions: tuple[int, ...]
    kind: int
    offset: int
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the ones at its end: a reader of GGUF fills up with them."""
        rank = max((n for n, one in enumerate(self.dimensions, 1) if one > 1), default=1)
        return self.dimensions[:rank]


@dataclass(frozen=True, slots=True)
class Model:
    version: int
    values: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    alignment: int
    start: int

    def meaning(self, data: memoryview) -> str:
        values = [(key.encode(), _value_bytes(*value)) for key, value in self.values.items()]
        tensors = [
            [one.name, [*one.shape, *[1] * (RANK_MAX - len(one.shape))], one.kind, one.offset]
            for one in self.tensors
        ]
        return _meaning(self.version, values, tensors, data[self.start :])


def _meaning(
    version: int, values: list[tuple[bytes, bytes]], tensors: list[Any], weights: memoryview
) -> str:
    """All of it, in its order: another value, tensor or weight is another meaning."""
    told = [[sha256(one).hexdigest() for one in pair] for pair in values]
    return digest([version, told, tensors, sha256(weights).hexdigest()])


def read(data: memoryview) -> Model:
    """Raises BadItem."""
    try:
        return _Reader(data).model()
    except struct.error:
        raise BadItem("it ends within its header") from None


def parse_a(data: memoryview) -> str:
    return read(data).meaning(data)


def parse_b(data: memoryview) -> str:
    found = gguf_library.read(data, HEADER_BYTES_MAX)
    return _meaning(found["version"], found["values"], found["tensors"], data[found["start"] :])


def rebuild(data: memoryview, write: Write) -> None:
    """From what was understood: all padding is zero, and no shape ends in ones."""
    model = read(data)
    out = bytearray(
        b"GGUF" + struct.pack("<IQQ", model.version, len(model.tensors), len(model.values))
    )
    for key, value in model.values.items():
        out += _text_bytes(key) + _value_bytes(*value)
    for one in model.tensors:
        shape = one.shape
        out += _text_bytes(one.name) + struct.pack("<I", len(shape))
        out += struct.pack(f"<{len(shape)}QIQ", *shape, one.kind, one.offset)
    write(bytes(out) + b"\0" * (-len(out) % model.alignment))
    write(data[model.start :])


def texts(data: memoryview) -> list[str]:
    """What people, or a template engine, could read in it. A vocabulary's pieces are no words."""
    model = read(data)
    said = [one for kind, one in model.values.values() if kind == STRING]
    return [*said, *model.values, *(tensor.name for tensor in model.tensors)]


def chat_templates(data: memoryview) -> list[str]:
    values = read(data).values
    return [one for key, (kind, one) in values.items() if kind == STRING and "chat_template" in key]


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._head = data[:HEADER_BYTES_MAX]
        self._at = 0

    def model(self) -> Model:
        if self._take(4) != b"GGUF":
            raise BadItem("it does not begin with GGUF")
        version = self._scalar("I")
        if version not in VERSIONS:
            raise BadItem("it is of an unknown version")
        count, keys = self._count(TENSORS_MAX), self._count(KEYS_MAX)
        values: dict[str, Value] = {}
        for _ in range(keys):
            key = self._text()
            if not _KEY.fullmatch(key) or key in values:
                raise BadItem("a key is no plain name, or stands twice")
            values[key] = self._value()
        alignment = _alignment(values)
        tensors = [self._tensor(alignment) for _ in range(count)]
        if len({one.name for one in tensors}) != count:
            raise BadItem("two tensors have one name")
        start = self._at + (-self._at % alignment)
        self._check_zeros(self._at, start)
        self._check_place(tensors, start, alignment)
        return Model(version, values, tuple(tensors), alignment, start)

    def _check_place(self, tensors: list[Tensor], start: int, alignment: int) -> None:
        at = 0
        for one in sorted(tensors, key=lambda one: one.offset):
            if one.offset != at + (-at % alignment):
                raise BadItem("its tensors overlap or leave a hole")
            self._check_zeros(start + at, start + one.offset)
            at = one.offset + one.size
        end = start + at
        if len(self._data) not in (end, end + (-end % alignment)):
            raise BadItem("its tensors do not fill the file")
        self._check_zeros(end, len(self._data))

    def _check_zeros(self, begin: int, end: int) -> None:
        if end > len(self._data) or any(self._data[begin:end]):
            raise BadItem("something lies between its tensors")

    def _tensor(self, alignment: int) -> Tensor:
        name, rank = self._text(), self._scalar("I")
        if not 1 <= len(name.encode()) <= 64 or not name.isprintable() or not 1 <= rank <= RANK_MAX:
            raise BadItem("a tensor has no plain name or shape")
        dimensions = tuple(self._scalar("Q") for _ in range(rank))
        kind, offset = self._scalar("I"), self._scalar("Q")
        if kind not in BLOCKS:
            raise BadItem("a tensor has an unknown type")
        block, width = BLOCKS[kind]
        elements = 1
        for dimension in dimensions:
            elements *= dimension
        if elements == 0 or dimensions[0] % block or offset % alignment:
            raise BadItem("a tensor's shape or place does not fit its type")
        return Tensor(name, dimensions, kind, offset, elements // block * width)

    def _value(self) -> Value:
        kind = self._scalar("I")
        if kind != ARRAY:
            return kind, self._one(kind)
        inner, count = self._scalar("I"), self._count(ELEMENTS_MAX)
        if inner == ARRAY:
            raise BadItem("an array holds arrays")
        return ARRAY, (inner, [self._one(inner) for _ in range(count)])

    def _one(self, kind: int) -> Any:
        if kind == STRING:
            return self._text()
        if kind not in SCALARS:
            raise BadItem("a value has an unknown type")
        found = self._scalar(SCALARS[kind])
        if kind == BOOL:
            if found > 1:
                raise BadItem("a truth is neither yes nor no")
            return bool(found)
        return found

    def _text(self) -> str:
        try:
            text = self._take(self._count(TEXT_BYTES_MAX)).decode()
        except UnicodeDecodeError:
            raise BadItem("a text is no UTF-8") from None
        if "\0" in text:  # where llama.cpp takes it for ended
            raise BadItem("a text holds a zero byte")
        return text

    def _count(self, limit: int) -> int:
        found: int = self._scalar("Q")
        if found > limit:
            raise BadItem("it claims more than there may be")
        return found

    def _scalar(self, form: str) -> Any:
        (found,) = struct.unpack_from("<" + form, self._head, self._at)
        self._at += struct.calcsize("<" + form)
        return found

    def _take(self, size: int) -> bytes:
        if size > len(self._head) - self._at:
            raise BadItem("it ends within its header")
        self._at += size
        return bytes(self._head[self._at - size : self._at])


def _alignment(values: Mapping[str, Value]) -> int:
    kind, found = values.get("general.alignment", (4, 32))
    if kind != 4 or not 8 <= found <= 65_536 or found & (found - 1):
        raise BadItem("its alignment is none")
    return int(found)


def _text_bytes(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value_bytes(kind: int, value: Any) -> bytes:
    if kind != ARRAY:
        return struct.pack("<I", kind) + _one_bytes(kind, value)
    inner, values = value
    head = struct.pack("<IIQ", ARRAY, inner, len(values))
    return head + b"".join(_one_bytes(inner, one) for one in values)


def _one_bytes(kind: int, value: Any) -> bytes:
    if kind == STRING:
        return _text_bytes(value)
    return struct.pack("<" + SCALARS[kind], value)

"""Weights as safetensors, read twice: by our own strict reader, and by the library of the format.

Source: https://huggingface.co/docs/safetensors/index#format. Stricter than it: no duplicate key, no
hole, no overlap, nothing behind the last tensor, every size the product of its shape.
"""

import json
import os
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bastide.transfer.filters.canonical import digest, no_constant, no_twins
from bastide.transfer.filters.model import BadItem, Write

HEADER_BYTES_MAX = 100_000_000
DIMENSIONS_MAX = 16
NAME_MAX = 512
METADATA = "__metadata__"
WIDTHS = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """Tensors in the order of their bytes; `start` is where those begin in the file."""

    tensors: tuple[Tensor, ...]
    metadata: Mapping[str, str]
    start: int

    def meaning(self, data: memoryview) -> str:
        tensors = [[one.name, one.dtype, list(one.shape)] for one in self.tensors]
        return _meaning(tensors, self.metadata, data[self.start :])


def _meaning(tensors: list[Any], metadata: Mapping[str, str], weights: memoryview) -> str:
    return digest([tensors, sorted(metadata.items()), sha256(weights).hexdigest()])


def read(data: memoryview) -> Header:
    """Raises BadItem."""
    if len(data) < 10:
        raise BadItem("it is too short for safetensors")
    size = int.from_bytes(data[:8], "little")
    if size > HEADER_BYTES_MAX or size > len(data) - 8 or data[8] != ord("{"):
        raise BadItem("its header has no true length")
    header = _parsed(bytes(data[8 : 8 + size]))
    metadata = _metadata(header.pop(METADATA, {}))
    tensors = sorted(
        (_tensor(name, entry) for name, entry in header.items()),
        key=lambda one: (one.begin, one.end, one.name),
    )
    at = 0
    for tensor in tensors:
        if tensor.begin != at:
            raise BadItem("its tensors overlap or leave a hole")
        at = tensor.end
    if at != len(data) - 8 - size:
        raise BadItem("its tensors do not fill the file")
    return Header(tuple(tensors), metadata, 8 + size)


def parse_a(data: memoryview) -> str:
    return read(data).meaning(data)


def parse_b(data: memoryview) -> str:
    """By `safetensors` itself, on the header and a hole of the data's length: it reads no more.
    It asks for numpy to make arrays, which nobody wants of it here."""
    import safetensors  # here: only this filter's process loads it

    lent = types.ModuleType("numpy")
    sys.modules.setdefault("numpy", lent)
    size = 8 + int.from_bytes(data[:8], "little")
    sketch = os.memfd_create("sketch")
    try:
        os.write(sketch, data[:size])
        os.ftruncate(sketch, len(data))
        with safetensors.safe_open(f"/proc/self/fd/{sketch}", framework="numpy") as file:
            tensors = []
            for name in file.offset_keys():
                tensor = file.get_slice(name)
                tensors.append([name, tensor.get_dtype(), list(tensor.get_shape())])
            return _meaning(tensors, file.metadata() or {}, data[size:])
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise BadItem(f"safetensors refuses it: {type(error).__name__}") from None
    finally:
        os.close(sketch)
        if sys.modules["numpy"] is lent:
            del sys.modules["numpy"]


def rebuild(data: memoryview, write: Write) -> None:
    """From what was understood: a compact header, padded with spaces to eight bytes."""
    header = read(data)
    table: dict[str, Any] = (
        {METADATA: dict(sorted(header.metadata.items()))} if header.metadata else {}
    )
    for one in header.tensors:
        entry = {"dtype": one.dtype, "shape": one.shape, "data_offsets": [one.begin, one.end]}
        table[one.name] = entry
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    write(len(text).to_bytes(8, "little"))
    write(text)
    write(data[header.start :])


def texts(data: memoryview) -> list[str]:
    """What people could read in it."""
    header = read(data)
    said = [text for pair in header.metadata.items() for text in pair]
    return [*said, *(tensor.name for tensor in header.tensors)]


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw.decode(), object_pairs_hook=no_twins, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise BadItem("its header is no plain JSON") from None
    if not isinstance(header, dict) or raw.rstrip(b" ")[-1:] != b"}":
        raise BadItem("its header is no plain JSON")
    return header


def _metadata(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise BadItem("its metadata are not texts")
    return found


def _tensor(name: str, entry: Any) -> Tensor:
    if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
        raise BadItem("a tensor has no plain name")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise BadItem("a tensor says more or less than its type, shape and place")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        raise BadItem("a tensor has an unknown type")
    if not _whole(shape) or len(shape) > DIMENSIONS_MAX:
        raise BadItem("a tensor has no plain shape")
    if not _whole(place) or len(place) != 2:
        raise BadItem("a tensor has no plain place")
    size = WIDTHS[dtype]
    for dimension in shape:
        size *= dimension
    if size != place[1] - place[0]:
        raise BadItem("a tensor's size is not that of its shape")
    return Tensor(name, dtype, tuple(shape), place[0], place[1])


def _whole(found: Any) -> bool:
    """A list of counts. `True` is an int to Python, and 1.0 equals one."""
    return isinstance(found, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in found)

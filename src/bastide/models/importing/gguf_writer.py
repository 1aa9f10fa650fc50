"""A GGUF file, written in one pass: metadata, the table of tensors, and then each one's bytes.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bastide.models.importing.facts import Refused

ALIGNMENT = 32
VERSION = 3
TYPES = {"F32": 0, "F16": 1, "BF16": 30}
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One tensor: `shape` as GGUF has it, `blocks` gives its bytes."""

    kind: str
    shape: tuple[int, ...]
    size: int
    blocks: Callable[[], Iterator[bytes]]


def write(path: Path, values: Mapping[str, Any], tensors: Mapping[str, Written]) -> None:
    """`values`: truths, whole numbers, fractions, texts, and lists of one of the last three."""
    with path.open("wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", VERSION, len(tensors), len(values)))
        for name, value in values.items():
            out.write(_text(name) + _value(value))
        offset = 0
        for name, tensor in tensors.items():
            dimensions = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
            out.write(_text(name) + dimensions + struct.pack("<IQ", TYPES[tensor.kind], offset))
            offset += _rounded(tensor.size)
        _pad(out)
        for tensor in tensors.values():
            for block in tensor.blocks():
                out.write(block)
            _pad(out)


def _rounded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _pad(out: BinaryIO) -> None:
    at = out.tell()
    out.write(bytes(_rounded(at) - at))


def _text(text: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError:  # JSON can say half of a letter
        raise Refused("The files hold what is no text.") from None
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    if isinstance(value, list):
        return struct.pack("<I", _ARRAY) + _list(value)
    kind, raw = _scalar(value)
    return struct.pack("<I", kind) + raw


def _list(values: Sequence[Any]) -> bytes:
    if values and isinstance(values[0], str):
        return struct.pack("<IQ", _STRING, len(values)) + b"".join(map(_text, values))
    if values and isinstance(values[0], float):
        return struct.pack(f"<IQ{len(values)}f", _FLOAT32, len(values), *values)
    return struct.pack(f"<IQ{len(values)}i", _INT32, len(values), *values)


def _scalar(value: Any) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return _BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return _UINT32, struct.pack("<I", value)
    if isinstance(value, float):
        return _FLOAT32, struct.pack("<f", value)
    return _STRING, _text(value)

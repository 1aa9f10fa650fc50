"""A strict reader of safetensors files: every byte of the data is one tensor's, and only one's.

Source: https://github.com/huggingface/safetensors (format)
"""

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.models.importing.facts import Refused

HEADER_BYTES_MAX = 16 << 20
TENSORS_MAX = 65_536
DIMENSIONS_MAX = 8
BLOCK_BYTES = 4 << 20
SIZES = {"F32": 4, "F16": 2, "BF16": 2}  # others are refused by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """Where one tensor lies. `shape` as PyTorch has it: rows first."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    begin: int
    size: int

    def blocks(self) -> Iterator[bytes]:
        with self.file.open("rb") as file:
            file.seek(self.begin)
            left = self.size
            while left:
                block = file.read(min(left, BLOCK_BYTES))
                if not block:
                    raise Refused(f"{self.file.name} ends within a tensor.")
                left -= len(block)
                yield block


def tensors_of(file: Path) -> dict[str, Tensor]:
    """Every tensor of one file, by name. Raises Refused."""
    size = file.stat().st_size
    with file.open("rb") as content:
        head = content.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(size - 8, HEADER_BYTES_MAX):
            raise _bad(file, "its header has no length that can be")
        header = _object(file, content.read(length))
    header.pop("__metadata__", None)
    if len(header) > TENSORS_MAX:
        raise _bad(file, f"it has more than {TENSORS_MAX} tensors")
    start = 8 + length
    found = {name: _tensor(file, start, name, said) for name, said in header.items()}
    _check_filled(file, start, size, found)
    return found


def _object(file: Path, text: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise _bad(file, "a name stands twice in its header")
        return made

    try:
        found = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise _bad(file, "its header is no JSON") from None
    if not isinstance(found, dict):
        raise _bad(file, "its header is no object")
    return found


def _tensor(file: Path, start: int, name: str, said: Any) -> Tensor:
    if not isinstance(said, dict) or set(said) != {"dtype", "shape", "data_offsets"}:
        raise _bad(file, f"the tensor {name[:100]} is not described as one is")
    kind, shape, span = said["dtype"], said["shape"], said["data_offsets"]
    if not isinstance(kind, str) or kind not in SIZES:
        raise _bad(file, f"the tensor {name[:100]} is of the type {str(kind)[:20]}")
    if not _numbers(shape) or len(shape) > DIMENSIONS_MAX or not _numbers(span) or len(span) != 2:
        raise _bad(file, f"the tensor {name[:100]} has no shape and place that can be")
    begin, end = span
    if end - begin != math.prod(shape) * SIZES[kind]:
        raise _bad(file, f"the tensor {name[:100]} has another size than its shape")
    return Tensor(file=file, kind=kind, shape=tuple(shape), begin=start + begin, size=end - begin)


def _numbers(found: Any) -> bool:
    return isinstance(found, list) and all(
        isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 1 << 48 for one in found
    )


def _check_filled(file: Path, start: int, size: int, found: dict[str, Tensor]) -> None:
    at = start
    for tensor in sorted(found.values(), key=lambda one: (one.begin, one.size)):
        if tensor.begin != at:
            raise _bad(file, "its tensors overlap, or leave a gap")
        at += tensor.size
    if at != size:
        raise _bad(file, "its tensors do not fill it")


def _bad(file: Path, why: str) -> Refused:
    return Refused(f"{file.name} is no acceptable safetensors file: {why}.")

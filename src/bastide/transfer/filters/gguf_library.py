"""GGUF as llama.cpp itself reads it: the second reader, and the one that later loads the weights.

It comes with the package of the engine, whose one library has llama.cpp's functions by their names.
Source: https://github.com/ggml-org/llama.cpp/blob/master/ggml/include/gguf.h
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bastide.transfer.filters.model import BadItem

LIBRARY = "xllamacpp.abi3.so"
STRING, ARRAY = 8, 9
DIMENSIONS = 4
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _POINTER, _KIND, _COUNT = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_SIZE, _SHAPE = ctypes.c_size_t, ctypes.POINTER(ctypes.c_int64 * DIMENSIONS)


class _How(ctypes.Structure):
    """No weights are read, and no tensors made."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("context", _POINTER))


_FUNCTIONS: dict[str, tuple[Any, ...]] = {  # what each answers, and what it is given
    "init_from_file": (_POINTER, _TEXT, _How),
    "free": (None, _POINTER),
    "get_version": (ctypes.c_uint32, _POINTER),
    "get_data_offset": (_SIZE, _POINTER),
    "get_n_kv": (_COUNT, _POINTER),
    "get_key": (_TEXT, _POINTER, _COUNT),
    "get_kv_type": (_KIND, _POINTER, _COUNT),
    "get_val_data": (_POINTER, _POINTER, _COUNT),
    "get_val_str": (_TEXT, _POINTER, _COUNT),
    "get_arr_type": (_KIND, _POINTER, _COUNT),
    "get_arr_n": (_SIZE, _POINTER, _COUNT),
    "get_arr_data": (_POINTER, _POINTER, _COUNT),
    "get_arr_str": (_TEXT, _POINTER, _COUNT, _SIZE),
    "get_n_tensors": (_COUNT, _POINTER),
    "get_tensor_name": (_TEXT, _POINTER, _COUNT),
    "get_tensor_ne": (_SHAPE, _POINTER, _COUNT),
    "get_tensor_type": (_KIND, _POINTER, _COUNT),
    "get_tensor_offset": (_SIZE, _POINTER, _COUNT),
}


@cache
def _library() -> dict[str, Callable[..., Any]]:
    package = find_spec("xllamacpp")
    if package is None or package.origin is None:
        raise BadItem("llama.cpp is not here to read it")
    loaded, found = ctypes.CDLL(str(Path(package.origin).parent / LIBRARY)), {}
    for name, (answer, *given) in _FUNCTIONS.items():
        function = getattr(loaded, f"gguf_{name}")
        function.restype, function.argtypes = answer, given
        found[name] = function
    return found


def read(data: memoryview, header_bytes: int) -> dict[str, Any]:
    """What it understood: of the values, their bytes as GGUF has them. It gets the beginning of the
    file, and a hole of the rest's length. Raises BadItem."""
    call, sketch = _library(), os.memfd_create("sketch")
    try:
        with open(sketch, "wb", closefd=False) as file:
            file.write(data[:header_bytes])
        os.ftruncate(sketch, len(data))
        opened = call["init_from_file"](f"/proc/self/fd/{sketch}".encode(), _How(True, None))
    finally:
        os.close(sketch)
    if not opened:
        raise BadItem("llama.cpp refuses it")
    try:
        return {
            "version": call["get_version"](opened),
            "values": [_value(call, opened, n) for n in range(call["get_n_kv"](opened))],
            "tensors": [_tensor(call, opened, n) for n in range(call["get_n_tensors"](opened))],
            "start": call["get_data_offset"](opened),
        }
    finally:
        call["free"](opened)


def _value(call: dict[str, Callable[..., Any]], opened: int, n: int) -> tuple[bytes, bytes]:
    kind = call["get_kv_type"](opened, n)
    if kind == STRING:
        raw = _text(call["get_val_str"](opened, n))
    elif kind != ARRAY:
        raw = ctypes.string_at(call["get_val_data"](opened, n), WIDTHS[kind])
    else:
        inner, count = call["get_arr_type"](opened, n), call["get_arr_n"](opened, n)
        raw = inner.to_bytes(4, "little") + count.to_bytes(8, "little")
        if inner == STRING:
            raw += b"".join(_text(call["get_arr_str"](opened, n, at)) for at in range(count))
        elif count:
            raw += ctypes.string_at(call["get_arr_data"](opened, n), count * WIDTHS[inner])
    return call["get_key"](opened, n), kind.to_bytes(4, "little") + raw


def _text(raw: bytes) -> bytes:
    return len(raw).to_bytes(8, "little") + raw


def _tensor(call: dict[str, Callable[..., Any]], opened: int, n: int) -> list[Any]:
    return [
        call["get_tensor_name"](opened, n).decode("utf-8", "replace"),
        list(call["get_tensor_ne"](opened, n).contents),
        call["get_tensor_type"](opened, n),
        call["get_tensor_offset"](opened, n),
    ]

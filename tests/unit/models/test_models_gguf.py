"""The strict reader of GGUF headers."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.inference_kit import gguf

from bastide.models.gguf import BadGguf, read_header


def read(tmp_path, data):
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    return read_header(path)


def test_a_sound_header(tmp_path):
    values = {
        "llama.block_count": 30, "llama.embedding_length": 576, "llama.attention.head_count": 9,
        "llama.attention.head_count_kv": 3, "tokenizer.ggml.tokens": ["a", "b"],
    }  # fmt: skip
    header = read(tmp_path, gguf(**values))
    assert header.context_tokens == 512
    assert header.kv_bytes_per_token == 30 * 2 * 3 * 64 * 2
    assert "tokenizer.ggml.tokens" not in header.values


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no end"),
        (b"PK\x03\x04" + bytes(40), "begin with GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**40, 0), "tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40), "keys"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60), "bytes of text"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"\xff" + bytes(9), "UTF-8"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 99), "type 99"),
        (
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 9, 1),
            "array holds",
        ),
    ],
)
def test_refused(tmp_path, data, why):
    with pytest.raises(BadGguf, match=why):
        read(tmp_path, data)


def test_a_key_stands_once(tmp_path):
    one = struct.pack("<Q", 1) + b"k" + struct.pack("<IB", 7, 1)
    with pytest.raises(BadGguf, match="twice"):
        read(tmp_path, b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + one + one)


@given(cut=st.integers(0, 200), flips=st.lists(st.tuples(st.integers(0, 250), st.integers(0, 255))))
def test_damage_is_refused_or_read_never_a_crash(tmp_path_factory, cut, flips):
    data = bytearray(gguf(**{"general.name": "x"}))
    for place, value in flips:
        data[place % len(data)] = value
    path = tmp_path_factory.mktemp("g") / "x.gguf"
    path.write_bytes(data[: len(data) - cut])
    with contextlib.suppress(BadGguf):
        read_header(path)

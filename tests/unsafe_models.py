"""Model files that would do harm, each made here by code: never load what this makes."""

import base64
import io
import json
import pickle
import struct
import tarfile
import zipfile

from tests.transfer_kit import Held

EVIL = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00idq\x00\x85R."
ONE = {"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def safetensors(header, data=b"\0" * 8, size=None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if size is None else size) + raw + data


def entry(**changes):
    return {"t": {**ONE["t"], **changes}}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def kv(key: str, kind: int, raw: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + raw


def tensor(name="w", dims=(8,), kind=0, offset=0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def gguf(pairs=(), tensors=None, data=b"\0" * 32, counts=None, version=3) -> bytes:
    tensors = [tensor()] if tensors is None else tensors
    many = (len(tensors), len(pairs)) if counts is None else counts
    head = b"GGUF" + struct.pack("<IQQ", version, *many) + b"".join((*pairs, *tensors))
    return head + b"\0" * (-len(head) % 32) + data


def zipped(entries) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        info = tarfile.TarInfo("m.pkl")
        info.size = len(EVIL)
        file.addfile(info, io.BytesIO(EVIL))
    return out.getvalue()


TORCH = zipped({"archive/data.pkl": EVIL, "archive/version": b"3"})
LAMBDA = {"config": {"layers": [{"class_name": "Lambda", "config": {"function": "4wE="}}]}}
TEMPLATE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
META = "__metadata__"
TWINS = json.dumps({"t": ONE["t"], "u": ONE["t"]}).replace('"u"', '"t"').encode()
NESTED = b'{"t":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
NOT_A_NUMBER = b'{"t":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}'
TWO = {
    "a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]},
    "b": {"dtype": "U8", "shape": [8], "data_offsets": [4, 12]},
}
HOLE = {
    "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
    "b": {"dtype": "U8", "shape": [4], "data_offsets": [8, 12]},
}
ALIGN = kv("general.alignment", 4, struct.pack("<I", 12))
JINJA = kv("tokenizer.chat_template", 8, text(TEMPLATE))
NAME = kv("general.name", 8, text("x"))
HIDDEN = base64.b64encode(b"\x80\x04\x95" + EVIL * 4).decode()

UNSAFE = {
    "a_pickle_by_its_own_name": ("m.pkl", EVIL),
    "a_pickle_as_torch_names_it": ("m.pt", TORCH),
    "a_pickle_named_bin": ("pytorch_model.bin", EVIL),
    "a_pickle_named_safetensors": ("m.safetensors", EVIL),
    "a_pickle_named_text": ("m.txt", EVIL),
    "an_old_text_pickle_named_text": ("m.txt", pickle.dumps({"a": print}, protocol=0)),
    "a_pickle_in_a_zip_named_safetensors": ("m.safetensors", TORCH),
    "a_pickle_in_a_tar_gz": ("m.tar.gz", tarred()),
    "a_zip_behind_true_safetensors": ("m.safetensors", safetensors(ONE) + TORCH),
    "a_zip_within_a_tensor_at_the_end": (
        "m.safetensors",
        safetensors(entry(dtype="U8", shape=[len(TORCH)], data_offsets=[0, len(TORCH)]), TORCH),
    ),
    "a_pickle_as_base64_in_the_metadata": (
        "m.safetensors", safetensors({**ONE, META: {"extra": HIDDEN}}),
    ),
    "code_in_the_metadata": ("m.safetensors", safetensors({**ONE, META: {"x": "os.system('id')"}})),
    "metadata_that_are_no_texts": ("m.safetensors", safetensors({**ONE, META: {"x": [1]}})),
    "metadata_that_are_a_list": ("m.safetensors", safetensors({**ONE, META: ["x"]})),
    "overlapping_tensors": ("m.safetensors", safetensors(TWO, b"\0" * 12)),
    "a_hole_between_tensors": ("m.safetensors", safetensors(HOLE, b"\0" * 12)),
    "bytes_behind_the_last_tensor": ("m.safetensors", safetensors(ONE, b"\0" * 9)),
    "a_tensor_that_is_too_short": ("m.safetensors", safetensors(ONE, b"\0" * 7)),
    "one_name_twice": ("m.safetensors", safetensors(TWINS)),
    "a_header_longer_than_the_file": ("m.safetensors", safetensors(ONE, size=1 << 40)),
    "a_header_of_no_length": ("m.safetensors", safetensors(ONE, size=0)),
    "a_header_cut_short": ("m.safetensors", safetensors(ONE, size=20)),
    "a_header_nested_two_hundred_thousand_deep": ("m.safetensors", safetensors(NESTED)),
    "a_header_that_is_no_utf8": ("m.safetensors", safetensors(b'{"\xff":1}')),
    "something_behind_the_header": ("m.safetensors", safetensors(json.dumps(ONE).encode() + b"\0")),
    "a_shape_that_is_not_a_number": ("m.safetensors", safetensors(NOT_A_NUMBER)),
    "a_negative_shape": ("m.safetensors", safetensors(entry(shape=[-1, -2]))),
    "a_shape_that_is_a_truth": (
        "m.safetensors", safetensors(entry(shape=[2, True])),
    ),
    "a_shape_that_is_a_fraction": ("m.safetensors", safetensors(entry(shape=[2.0]))),
    "a_shape_that_overflows": (
        "m.safetensors", safetensors(entry(shape=[1 << 62, 1 << 62, 0, 1 << 63])),
    ),
    "a_place_that_runs_backwards": ("m.safetensors", safetensors(entry(data_offsets=[8, 0]))),
    "a_key_that_nobody_knows": ("m.safetensors", safetensors(entry(code="x"))),
    "a_type_that_nobody_knows": ("m.safetensors", safetensors(entry(dtype="OBJ"))),
    "a_name_of_control_characters": (
        "m.safetensors", safetensors({"t\x1b[2J": ONE["t"]}),
    ),
    "a_gguf_of_two_to_the_sixty_tensors": ("m.gguf", gguf(counts=(1 << 60, 0))),
    "a_gguf_of_two_to_the_sixty_keys": ("m.gguf", gguf(counts=(1, 1 << 60))),
    "a_gguf_text_longer_than_the_file": (
        "m.gguf", gguf([text("k") + struct.pack("<IQ", 8, 1 << 50)]),
    ),
    "a_gguf_array_of_arrays": ("m.gguf", gguf([kv("k", 9, struct.pack("<IQ", 9, 3))])),
    "a_gguf_key_twice": ("m.gguf", gguf([NAME, NAME])),
    "a_gguf_of_another_version": ("m.gguf", gguf(version=77)),
    "a_gguf_alignment_that_is_none": ("m.gguf", gguf([ALIGN])),
    "a_gguf_shape_that_overflows": ("m.gguf", gguf(tensors=[tensor(dims=(1 << 63, 2, 2, 8))])),
    "a_gguf_type_that_nobody_knows": ("m.gguf", gguf(tensors=[tensor(kind=99)])),
    "gguf_tensors_that_overlap": ("m.gguf", gguf(tensors=[tensor("a"), tensor("b")])),
    "something_in_the_padding_of_a_gguf": (
        "m.gguf", gguf(tensors=[tensor("a", (1,)), tensor("b", offset=32)], data=b"\1" * 64),
    ),
    "bytes_behind_a_gguf": ("m.gguf", gguf(data=b"\0" * 31 + b"\1" + b"\0" * 200)),
    "a_gguf_template_that_leaves_its_sandbox": ("m.gguf", gguf([JINJA])),
    "a_zip_behind_a_gguf": ("m.gguf", gguf() + TORCH),
    "a_keras_lambda": ("config.json", json.dumps(LAMBDA).encode()),
    "a_keras_archive": ("m.keras", zipped({"config.json": json.dumps(LAMBDA)})),
    "a_configuration_that_fetches_code": ("config.json", b'{"auto_map":{"AutoModel":"x--y.Z"}}'),
    "a_configuration_with_a_key_twice": ("config.json", b'{"a":1,"a":2}'),
    "a_program_named_text": ("readme.txt", b"\x7fELF\x02\x01\x01" + b"a" * 64),
    "a_script_named_text": ("readme.txt", b"#!/bin/sh\nid\n"),
    "an_hdf5_file": ("m.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 64),
    "a_numpy_file": ("m.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}"),
    "an_onnx_file": ("m.onnx", b"\x08\x07\x12\x07pytorch"),
    "a_name_without_an_ending": ("model", safetensors(ONE)),
}  # fmt: skip

GOOD = {
    "safetensors": ("m.safetensors", safetensors({**ONE, META: {"format": "pt"}})),
    "safetensors_of_nothing": ("m.safetensors", safetensors({"t": {**ONE["t"], "shape": [0, 3],
                                                    "data_offsets": [0, 0]}}, b"")),
    "gguf": ("m.gguf", gguf([NAME, kv("general.x", 7, b"\1")])),
    "json": ("config.json", b'{"b": [1, 2.5, "\xc3\xa9"], "a": null}\n'),
    "jsonl": ("rows.jsonl", b'{"a":1}\n\n{"b":[2]}\n'),
    "csv": ("t.csv", b'a,b\r\n1,"x ""q"" y"\r\n\r\n2,\r\n'),
    "text": ("notes.md", "# Dr\u00f4le\n\twords\n".encode()),
}  # fmt: skip


def held(case: tuple[str, bytes]) -> Held:
    return Held(*case)

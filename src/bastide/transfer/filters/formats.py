"""Which formats may pass at all, and whether an item is what its name says. All else is refused."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from bastide.transfer import setup
from bastide.transfer.filters import (
    gguf_format,
    image_format,
    pins,
    safetensors_format,
    sdist_format,
    text_formats,
    wheel_format,
)
from bastide.transfer.filters.model import BadItem, Write
from bastide.transfer.model import ENVIRONMENT, IMAGE, SETUP, Item, Refused

View = memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """`a` and `b` read it independently and answer what they understood, as a digest; `rebuild`
    writes it anew from what was understood."""

    name: str
    a: Callable[[View], str]
    b: Callable[[View], str]
    rebuild: Callable[[View, Write], None]
    texts: Callable[[View], Iterable[str]]
    begins: Callable[[View], bool]


def _is_gguf(data: View) -> bool:
    return bytes(data[:4]) == b"GGUF"


def _is_safetensors(data: View) -> bool:
    return len(data) > 8 and data[8] == ord("{") and bytes(data[6:8]) == b"\0\0"


def _is_text(data: View) -> bool:
    """Neither a known binary format nor anything with a zero byte near its beginning."""
    head = bytes(data[:4096])
    return not any(head.startswith(magic) for magic in BINARY) and b"\0" not in head


def _is_json(data: View) -> bool:
    first = bytes(data[:4096]).lstrip(b" \t\r\n")[:1]
    return _is_text(data) and first in {bytes([c]) for c in b'{["-0123456789tfn'}


# Beginnings of what is never let through as a text, whatever its name is.
BINARY = (
    b"PK\x03\x04", b"PK\x05\x06", b"\x7fELF", b"MZ", b"%PDF", b"\x1f\x8b", b"BZh", b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!", b"\x89PNG", b"\x89HDF", b"GIF8", b"\xff\xd8\xff",
    b"SQLite format 3", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\0asm", b"GGUF", b"#!",
    b"\x93NUMPY", b"RIFF", b"OggS", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"<?php", b"<!DOCTYPE", b"<html",
)  # fmt: skip

WEIGHTS = frozenset({"safetensors", "gguf"})
WEIGHTS_SAY = {"object": ("licence", "source"), "model": ("licence", "model_id"), SETUP: ()}
_TEXT = {"texts": text_formats.texts}
FORMATS = {
    ".safetensors": Format(
        name="safetensors",
        a=safetensors_format.parse_a,
        b=safetensors_format.parse_b,
        rebuild=safetensors_format.rebuild,
        texts=safetensors_format.texts,
        begins=_is_safetensors,
    ),
    ".gguf": Format(
        name="gguf",
        a=gguf_format.parse_a,
        b=gguf_format.parse_b,
        rebuild=gguf_format.rebuild,
        texts=gguf_format.texts,
        begins=_is_gguf,
    ),
    ".json": Format(
        name="json", a=text_formats.json_a, b=text_formats.json_b,
        rebuild=text_formats.rebuild_json, begins=_is_json, **_TEXT,
    ),
    ".jsonl": Format(
        name="jsonl", a=text_formats.lines_a, b=text_formats.lines_b,
        rebuild=text_formats.rebuild_lines, begins=_is_json, **_TEXT,
    ),
    ".csv": Format(
        name="csv", a=text_formats.csv_a, b=text_formats.csv_b,
        rebuild=text_formats.rebuild_csv, begins=_is_text, **_TEXT,
    ),
    ".txt": Format(
        name="text", a=text_formats.text_a, b=text_formats.text_b,
        rebuild=text_formats.rebuild_text, begins=_is_text, **_TEXT,
    ),
}  # fmt: skip
FORMATS[".md"] = FORMATS[".txt"]


def _nothing_said(data: View) -> list[str]:
    """Every bit of a pinned file is another's: it says nothing that the sender chose."""
    return []


ENVIRONMENT_FILES = {
    ".whl": Format(
        name="wheel",
        a=wheel_format.parse_a,
        b=wheel_format.parse_b,
        rebuild=wheel_format.rebuild,
        texts=_nothing_said,
        begins=lambda data: bytes(data[:4]) == b"PK\x03\x04",
    ),
    ".gz": Format(
        name="sdist",
        a=sdist_format.parse_a,
        b=sdist_format.parse_b,
        rebuild=sdist_format.rebuild,
        texts=_nothing_said,
        begins=lambda data: bytes(data[:3]) == b"\x1f\x8b\x08",
    ),
}


_IMAGE = Format(
    name="image",
    a=image_format.parse_a,
    b=image_format.parse_b,
    rebuild=image_format.rebuild,
    texts=image_format.texts,
    begins=image_format.begins,
)


def of(item: Item) -> Format:
    """The format that an item's name promises. Raises BadItem for one that may not pass."""
    if item.kind == IMAGE:
        return _IMAGE
    ending = item.name[item.name.rfind(".") :].lower() if "." in item.name else ""
    allowed = ENVIRONMENT_FILES if item.kind == ENVIRONMENT else FORMATS
    found = allowed.get(ending)
    if found is None:
        raise BadItem("its type is none of " + ", ".join(sorted(allowed)))
    if item.kind == "model" and ending != ".gguf":
        raise BadItem("weights of the shelf are GGUF")
    return found


def checked(item: Item, data: View) -> Format:
    """The type filter: what the name promises must be what the bytes begin with."""
    found = of(item)
    if not found.begins(data):
        raise BadItem(f"it does not begin as {found.name}")
    if found.name in WEIGHTS and not all(map(item.provenance.get, WEIGHTS_SAY[item.kind])):
        raise BadItem("it is weights, and no licence or source is said of it")
    if item.kind == ENVIRONMENT:
        pins.check(item, data)
    if item.kind == IMAGE:
        image_format.check(item)
    if item.kind == SETUP:
        _check_setup(found, data)
    return found


def again(item: Item, data: View) -> str:
    """What re-encode wrote, read by another process: it answers the meaning. Written anew it must
    be the same to the bit, so that there is one way to write what was understood."""
    found, written = checked(item, data), sha256()
    found.rebuild(data, written.update)
    if not written.hexdigest() == item.sha256 == sha256(data).hexdigest():
        raise BadItem("it is not written as re-encode writes it")
    return found.a(data)


def _check_setup(found: Format, data: View) -> None:
    """It says what an agency is, and nothing else: no key, no clearance."""
    try:
        if found.name != "json":
            raise Refused("it is no JSON")
        setup.decoded(bytes(data))
    except Refused as error:
        raise BadItem("it is no agency's set-up") from error

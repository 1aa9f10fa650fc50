"""Text, JSON, lines of JSON and CSV, each read by two parsers of different origin.

JSON: Python's and msgspec's; CSV: ours and Python's; text: Python's decoder, and a pattern of what
is UTF-8 at all, which decodes nothing.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec

from bastide.transfer.filters.canonical import digest, no_constant, no_twins
from bastide.transfer.filters.model import BadItem, Write

TEXT_BYTES_MAX = 64 << 20
DEPTH_MAX = 64
# Well-formed UTF-8 (Unicode 15, table 3-7) without controls but tab and line ends.
_UTF8 = re.compile(
    rb"(?:[\t\n\r -~]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|"
    rb"[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|"
    rb"[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*+"
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPECIAL = re.compile(r'[",\r\n]')
_CELL = re.compile(r'(?:"((?:[^"]|"")*+)"|([^",\r\n]*+))(,|\r?\n|\Z)')


def text_a(data: memoryview) -> str:
    return sha256(_text(data).encode()).hexdigest()


def text_b(data: memoryview) -> str:
    if not _UTF8.fullmatch(data):
        raise BadItem("it is no plain UTF-8")
    return sha256(data).hexdigest()


def rebuild_text(data: memoryview, write: Write) -> None:
    write(_text(data).encode())


def json_a(data: memoryview) -> str:
    return digest(_plain(_text(data)))


def json_b(data: memoryview) -> str:
    return digest(_other(data))


def rebuild_json(data: memoryview, write: Write) -> None:
    write(_dumped(_plain(_text(data))))


def lines_a(data: memoryview) -> str:
    return digest([_plain(line) for line in _lines(_text(data))])


def lines_b(data: memoryview) -> str:
    return digest([_other(line) for line in bytes(data).split(b"\n") if line.strip()])


def rebuild_lines(data: memoryview, write: Write) -> None:
    for line in _lines(_text(data)):
        write(_dumped(_plain(line)) + b"\n")


def csv_a(data: memoryview) -> str:
    return digest(list(_rows(_text(data))))


def csv_b(data: memoryview) -> str:
    return digest(_python_rows(_text(data)))


def rebuild_csv(data: memoryview, write: Write) -> None:
    for row in _rows(_text(data)):
        write((",".join(map(_cell, row)) if row != [""] else '""').encode() + b"\n")


def _cell(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if _SPECIAL.search(text) else text


def texts(data: memoryview) -> list[str]:
    return [_text(data)]


def _text(data: memoryview) -> str:
    if len(data) > TEXT_BYTES_MAX:
        raise BadItem(f"a text has more than {TEXT_BYTES_MAX} bytes")
    try:
        text = bytes(data).decode()
    except UnicodeDecodeError:
        raise BadItem("it is no plain UTF-8") from None
    if _CONTROLS.search(text):
        raise BadItem("it holds control characters")
    return text


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.split("\n") if line.strip())


def _plain(text: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=no_twins, parse_constant=no_constant)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        raise BadItem("it is no plain JSON") from None
    _check_depth(value)
    return value


def _other(data: memoryview | bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise BadItem("the other reader of JSON refuses it") from None


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise BadItem("it is nested too deep")


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _rows(text: str) -> Iterator[list[str]]:
    """RFC 4180; an empty line is a row without cells, as Python reads it."""
    at, row = 0, []
    while at < len(text):
        found = _CELL.match(text, at)
        if found is None:
            raise BadItem("it is no plain CSV")
        quoted, bare, end = found.groups()
        row.append(quoted.replace('""', '"') if quoted is not None else bare)
        at = found.end()
        if end == ",":
            if at == len(text):
                row.append("")
            continue
        yield [] if row == [""] and quoted is None else row
        row = []
    if row:
        yield row


def _python_rows(text: str) -> list[list[str]]:
    csv.field_size_limit(TEXT_BYTES_MAX)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        raise BadItem("Python's reader of CSV refuses it") from None

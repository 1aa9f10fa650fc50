"""Wheels, by two readers: ours, which takes only what a plain wheel needs, and Python's zipfile.

A wheel is code. What lets it pass is its digest (`pins.py`); this sees to it that what is opened
later is what was looked at: no two readers of it can come to different files.
Sources: PKWARE's APPNOTE 6.3.10, PEP 427.
"""

import base64
import csv
import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from bastide.transfer.filters.canonical import digest
from bastide.transfer.filters.model import BadItem, Write

FILES_MAX = 20_000
UNPACKED_MAX = 2 << 30
RATIO_MAX = 200
PIECE_BYTES = 1 << 20
STORED, DEFLATED = 0, 8
NEEDED_MAX = 63  # the version of zip that Python's reader knows, by ten
_FLAGS = 0x0800 | 0x0006  # names in UTF-8; how hard deflate tried
_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_WIDE = struct.Struct("<2H2Q")  # the sizes once more, as Python writes what might have been long
_NAME = re.compile(r"[^\x00-\x1f\x7f\\:*?\"<>|]{1,512}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    name: str
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    at: int  # of its first packed byte


def parse_a(data: memoryview) -> str:
    files = [(one.name, one.size, _digest(data, one)) for one in _members(data)]
    _check_record(data, {name: seen for name, _, seen in files})
    return digest(sorted(files))


def parse_b(data: memoryview) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = []
            for info in archive.infolist():
                with archive.open(info) as file:
                    seen = _sum(iter(lambda file=file: file.read(PIECE_BYTES), b""))  # type: ignore[misc]  # bound now
                found.append((info.orig_filename, info.file_size, seen))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError, zlib.error):
        raise BadItem("Python's reader of zip refuses it") from None
    return digest(sorted(found))


def rebuild(data: memoryview, write: Write) -> None:
    """As it came: anew it would be another file than the one that the lock names."""
    write(data)


def scan(data: memoryview) -> None:
    """What runs without being imported: a `.pth`, a customisation of Python, a script that is no
    Python's."""
    for one in _members(data):
        top, _, rest = one.name.partition("/")
        if one.name.endswith(".pth") or one.name in ("sitecustomize.py", "usercustomize.py"):
            raise BadItem("it holds what Python would run by itself")
        kind = rest.partition("/")[0] if top.endswith(".data") else ""
        if kind not in ("", "scripts", "headers", "purelib", "platlib"):
            raise BadItem("it puts files where no environment needs them")
        if kind == "scripts" and one.size and not _unpacked(data, one).startswith(b"#!python"):
            raise BadItem("it holds a script that is no Python's")


def _members(data: memoryview) -> list[Member]:
    """All of them, end to end, with nothing before, between or behind."""
    count, at = _directory(data)
    found, next_at, start = [], 0, at
    for _ in range(count):
        one, begins, at = _central(data, at)
        if begins != next_at:
            raise BadItem("its files overlap, or there is something between them")
        found.append(_local(data, one, begins, start))
        next_at = found[-1].at + one.packed
    if next_at != start or at != len(data) - _END.size:
        raise BadItem("there is something beside its files")
    _check_names(found)
    return found


def _directory(data: memoryview) -> tuple[int, int]:
    if len(data) < _END.size:
        raise BadItem("it is no zip")
    mark, disk, first, here, count, size, at, comment = _END.unpack(data[-_END.size :])
    if mark != b"PK\x05\x06" or disk or first or here != count or comment:
        raise BadItem("it does not end as a plain zip")
    if not 0 < count <= FILES_MAX or at + size != len(data) - _END.size:
        raise BadItem("its directory is not where it says")
    return count, at


def _central(data: memoryview, at: int) -> tuple[Member, int, int]:
    """A member as the directory has it, where it begins, and where the directory goes on."""
    head = data[at : at + _CENTRAL.size]
    if len(head) != _CENTRAL.size:
        raise BadItem("its directory breaks off")
    (mark, _, needed, flags, method, _, _, crc, packed, size, length, extra, comment, disk, _,
     outside, begins) = _CENTRAL.unpack(head)  # fmt: skip
    if mark != b"PK\x01\x02" or flags & ~_FLAGS or extra or comment or disk or needed > NEEDED_MAX:
        raise BadItem("it uses more of zip than a wheel needs")
    if method not in (STORED, DEFLATED) or (method == STORED and packed != size):
        raise BadItem("it is packed in another way than wheels are")
    try:
        name = bytes(data[at + _CENTRAL.size : at + _CENTRAL.size + length]).decode()
    except UnicodeDecodeError:
        raise BadItem("a name in it is no UTF-8") from None
    one = Member(name=name, method=method, crc=crc, packed=packed, size=size,
                 mode=outside >> 16, at=0)  # fmt: skip
    return one, begins, at + _CENTRAL.size + length


def _local(data: memoryview, one: Member, begins: int, end: int) -> Member:
    """The member, if its own header says what the directory said."""
    at = begins + _LOCAL.size
    if at > end:
        raise BadItem("a file in it begins behind the last")
    mark, _, flags, method, _, _, crc, packed, size, length, extra = _LOCAL.unpack(data[begins:at])
    name = bytes(data[at : at + length])
    same = (method, crc, packed, size, name) == (
        one.method, one.crc, one.packed, one.size, one.name.encode()
    )  # fmt: skip
    wide = bytes(data[at + length : at + length + extra])
    plain = not extra or wide == _WIDE.pack(1, 16, one.size, one.packed)
    if mark != b"PK\x03\x04" or flags & ~_FLAGS or not plain or not same:
        raise BadItem("a file in it says of itself what the directory does not")
    at += length + extra
    if at + packed > end:
        raise BadItem("a file in it reaches behind the last")
    return Member(name=one.name, method=method, crc=crc, packed=packed, size=size,
                  mode=one.mode, at=at)  # fmt: skip


def _check_names(found: list[Member]) -> None:
    names = [one.name for one in found]
    if len({name.casefold().rstrip("/") for name in names}) != len(names):
        raise BadItem("two files in it have one name")
    for one in found:
        steps = one.name.removesuffix("/").split("/")
        if not _NAME.fullmatch(one.name) or not set(steps).isdisjoint({"", ".", ".."}):
            raise BadItem("a name in it leads out of it")
        is_folder = one.name.endswith("/")
        if stat.S_IFMT(one.mode) not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG):
            raise BadItem("it holds something that is neither a file nor a folder")
        if one.mode & 0o6000 or (is_folder and one.size):
            raise BadItem("a file in it has a mode that no wheel needs")
    files = set(names)
    for name in names:
        parents = name.removesuffix("/").split("/")[:-1]
        if any("/".join(parents[:n]) in files for n in range(1, len(parents) + 1)):
            raise BadItem("a file in it is a folder, too")
    if sum(one.size for one in found) > UNPACKED_MAX:
        raise BadItem(f"it unpacks to more than {UNPACKED_MAX} bytes")
    if any(one.size > PIECE_BYTES and one.size > RATIO_MAX * one.packed for one in found):
        raise BadItem(f"a file in it unpacks to more than {RATIO_MAX} times its size")


def _pieces(data: memoryview, one: Member) -> Iterator[bytes]:
    """What is in a member: never more than it says, and with the sum that it says."""
    packed, crc, size = data[one.at : one.at + one.packed], 0, 0
    pieces = _cut(packed) if one.method == STORED else _inflated(packed, one.size)
    for piece in pieces:
        crc, size = zlib.crc32(piece, crc), size + len(piece)
        yield piece
    if (crc, size) != (one.crc, one.size):
        raise BadItem("a file in it is not what it says")


def _cut(packed: memoryview) -> Iterator[bytes]:
    for at in range(0, len(packed), PIECE_BYTES):
        yield bytes(packed[at : at + PIECE_BYTES])


def _inflated(packed: memoryview, size: int) -> Iterator[bytes]:
    inflate, left, rest = zlib.decompressobj(-15), size + 1, bytes(packed)
    try:
        while not inflate.eof and left > 0:
            piece = inflate.decompress(rest, min(PIECE_BYTES, left))
            rest = inflate.unconsumed_tail
            if not piece and not rest:
                break
            left -= len(piece)
            yield piece
    except zlib.error:
        raise BadItem("a file in it cannot be unpacked") from None
    if not inflate.eof or inflate.unused_data or rest:
        raise BadItem("a file in it is not what it says")


def _unpacked(data: memoryview, one: Member) -> bytes:
    return b"".join(_pieces(data, one))


def _digest(data: memoryview, one: Member) -> str:
    return _sum(_pieces(data, one))


def _sum(pieces: Iterator[bytes]) -> str:
    running = sha256()
    for piece in pieces:
        running.update(piece)
    return running.hexdigest()


def _check_record(data: memoryview, files: dict[str, str]) -> None:
    """PEP 427: RECORD names every file but itself, each with its digest."""
    records = [one for one in _members(data) if one.name.endswith(".dist-info/RECORD")]
    if len(records) != 1 or records[0].size > PIECE_BYTES:
        raise BadItem("it has no RECORD")
    try:
        rows = list(csv.reader(io.StringIO(_unpacked(data, records[0]).decode()), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise BadItem("its RECORD cannot be read") from None
    listed = {row[0]: row[1] for row in rows if len(row) == 3}
    own = records[0].name
    wanted = {name: _recorded(seen) for name, seen in files.items() if not name.endswith("/")}
    wanted[own] = ""
    if len(listed) != len(rows) or listed != wanted:
        raise BadItem("its RECORD says something else than what is in it")


def _recorded(hexadecimal: str) -> str:
    raw = base64.urlsafe_b64encode(bytes.fromhex(hexadecimal))
    return "sha256=" + raw.rstrip(b"=").decode()

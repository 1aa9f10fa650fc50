"""An image's root file system as one file: a TAR in the one form that such a tree can have.

Names in order, each below a folder that came before; files, folders and links, nothing else; no
owner, no time, no mode but two. What is read is written anew from what was understood, and must be
the same bytes, so nothing hides between the fields. Source: POSIX.1-2017, pax, "ustar Interchange".
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = 512
END = bytes(2 * BLOCK)
PIECE_BYTES = 1 << 20
ENTRIES_MAX = 500_000
FILE_BYTES_MAX = 8**11 - 1
NAME_BYTES_MAX, PART_BYTES_MAX, DEPTH_MAX = 4000, 255, 64
FILE, FOLDER, LINK, MORE = b"0", b"5", b"2", b"x"
_KINDS = frozenset({FILE, FOLDER, LINK})
_RECORD = re.compile(rb"[0-9]{1,5} (path|linkpath)=([^\n]+)\n")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHORT = 100


class NotPlain(Exception):
    """It is no such file, or no such tree; the text says why, and tells nothing of its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing of the tree. `at`: where a file's bytes begin in the whole."""

    name: str
    kind: bytes
    size: int = 0
    is_program: bool = False
    link: str = ""
    at: int = 0


def entries(data: memoryview) -> Iterator[Entry]:
    """What is in it, in order. Raises NotPlain."""
    at, before, folders = 0, list[str](), {""}
    for _ in range(ENTRIES_MAX):
        if bytes(data[at : at + 1]) in (b"\0", b""):
            break
        entry = _read(data, at)
        _check_name(entry, before, folders)
        before = entry.name.split("/")
        if entry.kind == FOLDER:
            folders.add(entry.name)
        end = entry.at + entry.size
        at = end + -entry.size % BLOCK
        if at > len(data) or any(data[end:at]):
            raise NotPlain("something stands behind a file, or it breaks off")
        yield entry
    if data[at:] != END:
        raise NotPlain("it does not end as it must, or has too many files")


def head(entry: Entry) -> bytes:
    """The blocks before its bytes: the only ones that say this."""
    name, link = entry.name.encode(), entry.link.encode()
    more = _record(b"path", name) + _record(b"linkpath", link)
    mode = 0o755 if entry.is_program or entry.kind == FOLDER else 0o644
    block = _block(_short(name), entry.kind, mode, entry.size, _short(link))
    if not more:
        return block
    return _block(b"more", MORE, 0o644, len(more), b"") + more + bytes(-len(more) % BLOCK) + block


def packed(root: Path) -> Iterator[bytes]:
    """The tree below `root`, which nobody changes. Raises NotPlain."""
    before, folders = list[str](), {""}
    for number, entry in enumerate(_walk(root, "")):
        _check_name(entry, before, folders)
        if number >= ENTRIES_MAX:
            raise NotPlain("it has too many files")
        before = entry.name.split("/")
        if entry.kind == FOLDER:
            folders.add(entry.name)
        yield head(entry)
        if entry.kind == FILE:
            with (root / entry.name).open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece
        yield bytes(-entry.size % BLOCK)
    yield END


def unpack(data: memoryview, root: Path) -> int:
    """Make the tree in the empty folder `root`; answers its files' size. Every folder of a name was
    made here, so no link is followed."""
    size = 0
    for entry in entries(data):
        path = root / entry.name
        if entry.kind == FOLDER:
            path.mkdir(mode=0o755)
        elif entry.kind == LINK:
            path.symlink_to(entry.link)
        else:
            with path.open("xb") as file:
                file.write(data[entry.at : entry.at + entry.size])
            path.chmod(0o755 if entry.is_program else 0o644)
            size += entry.size
    return size


def _read(data: memoryview, start: int) -> Entry:
    said: dict[bytes, bytes] = {}
    at = start
    try:
        if data[at + 156 : at + 157] == MORE:
            length = int(bytes(data[at + 124 : at + 135]), 8)
            if length > 4 * NAME_BYTES_MAX:
                raise NotPlain("a name in it is too long")
            body = bytes(data[at + BLOCK : at + BLOCK + length])
            said = {one[1]: one[2] for one in _RECORD.finditer(body)}
            at += BLOCK + length + -length % BLOCK
        block = bytes(data[at : at + BLOCK])
        entry = Entry(
            name=said.get(b"path", block[:_SHORT].rstrip(b"\0")).decode(),
            kind=block[156:157],
            size=int(block[124:135], 8),
            is_program=block[100:108] == b"0000755\0" and block[156:157] == FILE,
            link=said.get(b"linkpath", block[157:257].rstrip(b"\0")).decode(),
            at=at + BLOCK,
        )
    except (ValueError, UnicodeDecodeError):
        raise NotPlain("a header in it cannot be read") from None
    if entry.kind not in _KINDS:
        raise NotPlain("it holds something that is neither a file, a folder nor a link")
    if entry.size and entry.kind != FILE:
        raise NotPlain("something that is no file has content")
    if head(entry) != data[start : at + BLOCK]:
        raise NotPlain("a header in it says more than it must")
    return entry


def _check_name(entry: Entry, before: list[str], folders: set[str]) -> None:
    parts = entry.name.split("/")
    sizes = [len(part.encode()) for part in parts]
    if _CONTROL.search(entry.name + entry.link) or not set(parts).isdisjoint({"", ".", ".."}):
        raise NotPlain("a name in it leads out of it")
    if sum(sizes) > NAME_BYTES_MAX or max(sizes) > PART_BYTES_MAX or len(parts) > DEPTH_MAX:
        raise NotPlain("a name in it is too long")
    if parts[-1].startswith(".wh."):
        raise NotPlain("a name in it would hide another")
    if parts <= before:
        raise NotPlain("its names are not in order")
    if "/".join(parts[:-1]) not in folders:
        raise NotPlain("a file in it lies in no folder")
    if (entry.kind == LINK) != bool(entry.link) or not _stays(parts[:-1], entry.link):
        raise NotPlain("a link in it leads out of it")


def _stays(above: list[str], link: str) -> bool:
    """Whether a link below `above` leads to something below the root, which is `/` to those who
    follow it. Judged by the words alone."""
    depth = 0 if link.startswith("/") else len(above)
    for part in link.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return False
    return len(link.encode()) <= NAME_BYTES_MAX


def _walk(root: Path, below: str) -> Iterator[Entry]:
    """In the order of names by their parts."""
    for name in sorted(os.listdir(root / below)):
        path = f"{below}/{name}" if below else name
        found = (root / path).lstat()
        try:
            path.encode()
        except UnicodeEncodeError:
            raise NotPlain("a file's name is not in UTF-8") from None
        if stat.S_ISLNK(found.st_mode):
            yield Entry(name=path, kind=LINK, link=os.readlink(root / path))
        elif stat.S_ISDIR(found.st_mode):
            yield Entry(name=path, kind=FOLDER)
            yield from _walk(root, path)
        elif stat.S_ISREG(found.st_mode) and found.st_size <= FILE_BYTES_MAX:
            is_program = bool(found.st_mode & 0o111)
            yield Entry(name=path, kind=FILE, size=found.st_size, is_program=is_program)
        else:
            raise NotPlain("it holds a file that is none, or is too large")


def _record(key: bytes, value: bytes) -> bytes:
    """What stands in a header of its own, where the field is too short for it."""
    if len(value) <= _SHORT and value.isascii():
        return b""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def _short(value: bytes) -> bytes:
    return value if len(value) <= _SHORT and value.isascii() else b"more"


def _block(name: bytes, kind: bytes, mode: int, size: int, link: bytes) -> bytes:
    first = name.ljust(_SHORT, b"\0") + b"%07o\0" % mode + b"0000000\0" * 2
    first += b"%011o\0" % size + b"0" * 11 + b"\0"
    last = kind + link.ljust(_SHORT, b"\0") + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
    last += bytes(155 + 12)
    return first + b"%06o\0 " % (sum(first) + 8 * 32 + sum(last)) + last

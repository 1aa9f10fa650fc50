"""An agent's ZIP: checked as a whole before anything is made of it, then unpacked.

Only files and folders, each once, each below the root by its name alone; stored or deflated, not
encrypted; bounded in number, depth, size and ratio, and in what its directory takes of memory
before a name is read. Compiled modules must be of this machine: else an agent would fail at its
first call. Source: APPNOTE.TXT 6.3.10, PKWARE; ELF's gABI for the machine's number.
"""

import platform
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

PACKED_MAX = 250 * 1024 * 1024  # both are AWS's own bounds
UNPACKED_MAX = 750 * 1024 * 1024
ENTRIES_MAX = 50_000
DIRECTORY_MAX = 8 * 1024 * 1024
DEPTH_MAX = 32
NAME_BYTES_MAX, PART_BYTES_MAX = 1024, 255
RATIO_MAX = 100  # of one file; text is packed 20 times
RATIO_FREE_BYTES = 1024 * 1024
CHUNK = 1024 * 1024
_END = struct.Struct("<4s4H2LH")  # of the central directory
_ENCRYPTED = 0x1
_MACHINES = {"x86_64": 62, "aarch64": 183, "ppc64le": 21, "s390x": 22}
_NAMES = {number: name for name, number in _MACHINES.items()}
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


class BadArchive(Exception):
    """It is no ZIP that can be taken; the text says why."""


def check(source: IO[bytes]) -> frozenset[str]:
    """The names of its files. Reads all of it: what passes can be unpacked. Raises BadArchive."""
    found = set()
    for info, data in _files(source):
        found.add(info.filename)
        for _ in data:
            pass
    return frozenset(found)


def unpack(source: IO[bytes], target: Path) -> None:
    """Into the empty folder `target`, readable by every user id. Raises BadArchive."""
    target.mkdir()
    target.chmod(0o755)
    for info, data in _files(source):
        path = target / info.filename
        for folder in reversed(path.relative_to(target).parents[:-1]):
            if not (target / folder).is_dir():
                (target / folder).mkdir()
                (target / folder).chmod(0o755)
        with path.open("xb") as file:
            for piece in data:
                file.write(piece)
        path.chmod(0o755 if info.external_attr >> 16 & 0o100 else 0o644)


def _files(source: IO[bytes]) -> Iterator[tuple[zipfile.ZipInfo, Iterator[bytes]]]:
    """Each with its bytes, which are to be read to their end."""
    _check_directory(source)
    with _faults(), zipfile.ZipFile(source) as packed:
        infos = packed.infolist()
        _check_names(infos)
        room = UNPACKED_MAX
        for info in infos:
            if info.is_dir():
                continue
            room -= info.file_size
            if room < 0:
                raise BadArchive(f"it unpacks to more than {UNPACKED_MAX} bytes")
            yield info, _bytes_of(packed, info)


@contextmanager
def _faults() -> Iterator[None]:
    """What the library finds wrong, as our own."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise BadArchive("it is damaged") from error
    except (NotImplementedError, RuntimeError) as error:
        raise BadArchive("it is packed in a way that is not taken") from error


def _check_directory(source: IO[bytes]) -> None:
    """Before the library reads it into memory. With a comment behind its end, or in the format for
    large ones, where it ends would be a matter of opinion."""
    size = source.seek(0, 2)
    if size > PACKED_MAX:
        raise BadArchive(f"it is larger than {PACKED_MAX} bytes")
    if size < _END.size:
        raise BadArchive("it is no ZIP file")
    source.seek(size - _END.size)
    mark, disk, disk_of, here, entries, length, at, comment = _END.unpack(source.read(_END.size))
    if mark != b"PK\x05\x06" or comment:
        raise BadArchive("it is no ZIP file, or has a comment behind its end")
    if disk or disk_of or here != entries or entries > ENTRIES_MAX or length > DIRECTORY_MAX:
        raise BadArchive(f"it is in parts, or has more than {ENTRIES_MAX} entries")
    if at + length + _END.size != size:
        raise BadArchive("something stands before or within it")
    source.seek(0)


def _check_names(infos: list[zipfile.ZipInfo]) -> None:
    if len(infos) > ENTRIES_MAX:
        raise BadArchive(f"it has more than {ENTRIES_MAX} entries")
    files: set[str] = set()
    for info in infos:
        _check_entry(info)
        if info.is_dir():
            continue
        if info.filename in files:
            raise BadArchive(f"{_shown(info.filename)} is in it twice")
        files.add(info.filename)
    for info in infos:
        for above in PurePosixPath(info.filename).parents:
            if str(above) in files:
                raise BadArchive(f"{_shown(str(above))} is a file, and one is to go below it")


def _check_entry(info: zipfile.ZipInfo) -> None:
    name = info.filename
    if info.orig_filename != name or "\\" in name or any(ord(one) < 32 for one in name):
        raise BadArchive(f"{_shown(name)} is no plain name")
    parts = name.removesuffix("/").split("/")
    if any(part in ("", ".", "..") or len(part.encode()) > PART_BYTES_MAX for part in parts):
        raise BadArchive(f"{_shown(name)} points out of the archive, or is no plain name")
    if len(parts) > DEPTH_MAX or len(name.encode()) > NAME_BYTES_MAX:
        raise BadArchive(f"{_shown(name)} is nested too deeply")
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == 3 else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadArchive(f"{_shown(name)} is a link or a device")
    if info.flag_bits & _ENCRYPTED:
        raise BadArchive(f"{_shown(name)} is encrypted")
    if info.compress_type not in _METHODS:
        raise BadArchive(f"{_shown(name)} is packed in a way that is not taken")
    if info.file_size > info.compress_size * RATIO_MAX + RATIO_FREE_BYTES:
        raise BadArchive(f"{_shown(name)} unpacks to too much")


def _bytes_of(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The library reads no more than the directory says, and holds the sum against it."""
    with _faults(), packed.open(info) as file:
        first = True
        while piece := file.read(CHUNK):
            if first and piece.startswith(b"\x7fELF"):
                _check_machine(info.filename, piece)
            first = False
            yield piece


def _check_machine(name: str, head: bytes) -> None:
    order = "big" if head[5:6] == b"\x02" else "little"
    number = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]  # one of the two
    here = platform.machine()
    if number != _MACHINES.get(here, number):
        built = _NAMES.get(number, "another machine")
        raise BadArchive(f"{_shown(name)} was built for {built}; agents run on {here} here")


def _shown(name: str) -> str:
    return ascii(name[:200])[1:-1]

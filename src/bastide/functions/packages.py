"""The zip that a function comes in: looked at whole before it is kept, and unpacked as it is.

Only plain files and folders below its own root, no two of one name; counts and sizes are bounded,
and each file is what its checksum says.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from bastide.kernel.errors import ServiceError

ZIP_MAX = 20 * 1024 * 1024
UNPACKED_MAX = 100 * 1024 * 1024
FILES_MAX = 5_000
NAME_MAX = 512
PART_MAX = 200
DEPTH_MAX = 24
DIRECTORY_MAX = 4 * 1024 * 1024  # bytes of the list of files, which is read whole
BLOCK = 1024 * 1024
_END, _END_SIZE, _COMMENT_MAX = b"PK\x05\x06", 22, 65_535
_ZIP64 = b"PK\x06\x07"
_ENCRYPTED = 1


def check(data: bytes) -> None:
    """InvalidParameterValueException, which says why, for what is not taken."""
    if len(data) > ZIP_MAX:
        raise bad(f"The zip has {len(data)} bytes; {ZIP_MAX} is the most.")
    _check_end(data)
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            for info in _checked(archive):
                for _ in _blocks(archive, info):
                    pass
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError, NotImplementedError):
        raise _no_zip() from None


def unpack(data: bytes, folder: Path) -> None:
    """Into a folder that is there, for everybody to read."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        for info in _checked(archive):
            path = folder / info.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                for block in _blocks(archive, info):
                    file.write(block)
            path.chmod(0o755 if info.external_attr >> 16 & stat.S_IXUSR else 0o644)
    for path in (folder, *(each for each in folder.rglob("*") if each.is_dir())):
        path.chmod(0o755)


def bad(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValueException", message)


def _no_zip() -> ServiceError:
    return bad("Could not unzip uploaded file. Please check your file, then try to upload again.")


def _check_end(data: bytes) -> None:
    """How long the list is that will be read whole, before it is."""
    tail = data[-(_END_SIZE + _COMMENT_MAX) :]
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE or _ZIP64 in tail[max(0, at - 20) : at]:
        raise _no_zip()
    count, size = struct.unpack_from("<HI", tail, at + 10)
    if count > FILES_MAX or size > DIRECTORY_MAX:
        raise bad(f"The zip has more than {FILES_MAX} files.")


def _checked(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """Its files; folders are made for them."""
    infos = archive.infolist()
    if not infos or len(infos) > FILES_MAX:
        raise bad(f"The zip has {len(infos)} files; 1 to {FILES_MAX} are taken.")
    if sum(info.file_size for info in infos) > UNPACKED_MAX:
        raise bad(f"Unzipped size must be smaller than {UNPACKED_MAX} bytes.")
    files = [info for info in infos if not info.is_dir()]
    names = {info.filename for info in files}
    if len(names) < len(files):
        raise bad("The zip has two files of one name.")
    for info in infos:
        _check_entry(info)
    folders = {"/".join(parts[:n]) for parts in _parts(names) for n in range(1, len(parts))}
    if names & folders:
        raise bad("The zip has a file and a folder of one name.")
    yield from files


def _parts(names: set[str]) -> Iterator[list[str]]:
    return (name.split("/") for name in names)


def _check_entry(info: zipfile.ZipInfo) -> None:
    """Python's reader has made `/` of a backslash and cut a name at NUL: what was there decides."""
    name = info.orig_filename
    parts = name.removesuffix("/").split("/")
    if (
        "\\" in name
        or not name.isprintable()
        or len(name.encode()) > NAME_MAX
        or len(parts) > DEPTH_MAX
        or any(part in ("", ".", "..") or len(part.encode()) > PART_MAX for part in parts)
    ):
        raise bad("The zip has a file whose name is not taken.")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR) > info.is_dir():
        raise bad("The zip has what is neither a file nor a folder.")
    if info.flag_bits & _ENCRYPTED:
        raise bad("The zip is encrypted.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise bad("The zip is compressed in a way that is not taken: deflate it.")


def _blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(info) as file:
        while block := file.read(BLOCK):
            yield block

"""Sources of a distribution (`.tar.gz`), by two readers: ours, and Python's tarfile.

Only a source that the region's lock pins gets here: a few distributions have no wheel.
Source: POSIX.1-2017, pax, "ustar Interchange Format".
"""

import io
import tarfile
import zlib
from hashlib import sha256

from bastide.transfer.filters.canonical import digest
from bastide.transfer.filters.model import BadItem, Write

UNPACKED_MAX = 64 << 20
_BLOCK = 512
_MTIME = " mtime="


def parse_a(data: memoryview) -> str:
    raw, at, found = _unpacked(data), 0, []
    while at + _BLOCK <= len(raw) and any(raw[at : at + _BLOCK]):
        head = raw[at : at + _BLOCK]
        name, kind, size = _header(head)
        body = raw[at + _BLOCK : at + _BLOCK + size]
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
        if len(body) != size:
            raise BadItem("it breaks off")
        if kind in (b"x", b"g"):
            _check_more(body)
        elif kind in (b"0", b"5"):
            found.append((name.rstrip("/"), size, sha256(body).hexdigest()))
        else:
            raise BadItem("it holds something that is neither a file nor a folder")
    if any(raw[at:]):
        raise BadItem("there is something behind its files")
    _check_names([name for name, _, _ in found])
    return digest(sorted(found))


def parse_b(data: memoryview) -> str:
    found = []
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(data)), mode="r:") as archive:
            for one in archive:
                file = archive.extractfile(one) if one.isreg() else None
                body = file.read() if file else b""
                found.append((one.name.rstrip("/"), len(body), sha256(body).hexdigest()))
    except (tarfile.TarError, ValueError, OSError, EOFError):
        raise BadItem("Python's reader of tar refuses it") from None
    return digest(sorted(found))


def rebuild(data: memoryview, write: Write) -> None:
    """As it came: anew it would be another file than the one that the lock names."""
    write(data)


def _unpacked(data: memoryview) -> bytes:
    inflate = zlib.decompressobj(31)
    try:
        raw = inflate.decompress(data, UNPACKED_MAX + 1)
    except zlib.error:
        raise BadItem("it cannot be unpacked") from None
    if len(raw) > UNPACKED_MAX:
        raise BadItem(f"it unpacks to more than {UNPACKED_MAX} bytes")
    if not inflate.eof or inflate.unused_data:
        raise BadItem("it is not one gzip alone")
    return raw


def _header(head: bytes) -> tuple[str, bytes, int]:
    try:
        size = int(head[124:136].strip(b"\0 ") or b"0", 8)
        wanted = int(head[148:156].strip(b"\0 "), 8)
        parts = [head[345:500].split(b"\0")[0].decode(), head[:100].split(b"\0")[0].decode()]
    except (ValueError, UnicodeDecodeError):
        raise BadItem("a header in it cannot be read") from None
    if wanted != sum(head[:148]) + 8 * ord(" ") + sum(head[156:]) or size < 0:
        raise BadItem("a header in it cannot be read")
    is_posix = head[257:263] == b"ustar\0"
    return "/".join(parts if is_posix and parts[0] else parts[1:]), head[156:157], size


def _check_more(body: bytes) -> None:
    """What a pax header adds: a time, and never a name or a size that a reader may not heed."""
    for line in body.decode("utf-8", "replace").splitlines():
        if _MTIME not in line:
            raise BadItem("it uses more of tar than a source needs")


def _check_names(names: list[str]) -> None:
    if not names or len({name.casefold() for name in names}) != len(names):
        raise BadItem("two files in it have one name")
    for name in names:
        if not name.isprintable() or not set(name.split("/")).isdisjoint({"", ".", ".."}):
            raise BadItem("a name in it leads out of it")

"""Trees that users made: walked, packed and unpacked without trusting a single name in them.

Only regular files, folders and links that stay inside are taken. A FIFO, device or socket fails
the job by name instead of blocking whoever opens it.
"""

import contextlib
import itertools
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from bastide.jobs.ports import JobFailed

ENTRIES_MAX = 200_000
EXTENSION_SIZE_MAX = 1024 * 1024
EXTENSIONS = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
DEPTH_MAX = 64
CHUNK = 1024 * 1024
RATIO_MAX = 200  # a bomb expands 1,000 times; honest text 20 times
RATIO_FREE_BYTES = 64 * 1024 * 1024  # below this no ratio is looked at
NAME_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing below the root. `name` is relative, with slashes; `link` is a link's target."""

    name: str
    mode: int
    size: int
    link: str = ""
    changed_ns: int = 0


def walk(root: Path, below: str = "") -> Iterator[Entry]:
    """Every folder, file and inner link below `root` (or below its folder `below`), in name order;
    names are relative to `root`. A job that runs may change what is walked: no folder is entered
    through a link. Raises JobFailed."""
    count = 0
    ahead = [below]
    while ahead:
        folder = ahead.pop()
        if folder.count("/") > DEPTH_MAX:
            raise JobFailed(f"{_shown(folder)}: folders are nested too deeply")
        with _held(root, folder) as held:
            names = _names(held, ENTRIES_MAX - count)
            count += len(names)
            entries = [_entry(held, f"{folder}/{name}" if folder else name) for name in names]
        ahead += [entry.name for entry in entries if stat.S_ISDIR(entry.mode)]
        yield from entries


def is_empty(root: Path) -> bool:
    with os.scandir(root) as found:
        return not any(found)


def _names(held: int, room: int) -> list[str]:
    """What a folder holds, sorted. JobFailed beyond `room`, before all of it is in memory."""
    with os.scandir(held) as found:
        names = [entry.name for entry in itertools.islice(found, room + 1)]
    if len(names) > room:
        raise JobFailed(f"there are more than {ENTRIES_MAX} files")
    return sorted(names)


def files(root: Path, below: str = "", *, size_max: int) -> Iterator[Entry]:
    """The regular files of the same. Sparse ones count as what a reader would get of them:
    JobFailed when all together are more than `size_max` bytes."""
    room = size_max
    for entry in walk(root, below):
        if stat.S_ISREG(entry.mode):
            if not _is_text(entry.name):
                raise JobFailed(f"{_shown(entry.name)} is not named in UTF-8, as objects are")
            room -= entry.size
            if room < 0:
                raise JobFailed(f"{_shown(entry.name)}: the files hold more than {size_max} bytes")
            yield entry


def open_file(root: Path, name: str) -> BinaryIO:
    """The regular file `name` below `root`; no part of the name may be a link, and what is not
    a regular file any more by now is refused without waiting for it."""
    path = PurePosixPath(name)
    with _held(root, str(path.parent)) as held:
        try:
            fd = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=held)
        except OSError as error:
            raise JobFailed(f"{_shown(name)} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise JobFailed(f"{_shown(name)} is not a regular file")
    return os.fdopen(fd, "rb")


@contextlib.contextmanager
def _held(root: Path, folder: str) -> Iterator[int]:
    """A folder below `root`, open for as long as it is looked at; JobFailed where a part of its
    name is a link, or is gone."""
    held = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in PurePosixPath(folder).parts:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held)
            os.close(held)
            held = inner
        yield held
    except OSError as error:
        raise JobFailed(f"{_shown(folder)} cannot be read: {error.strerror}") from error
    finally:
        os.close(held)


def pack(root: Path, target: BinaryIO, *, size_max: int) -> int:
    """Write `root` to `target` as a tar.gz with neither times nor owners; answers the bytes of
    the files. Raises JobFailed when they are more than `size_max`."""
    total = 0
    with tarfile.open(fileobj=target, mode="w|gz", format=tarfile.PAX_FORMAT) as tar:
        for entry in walk(root):
            info = tarfile.TarInfo(entry.name)
            info.mode = stat.S_IMODE(entry.mode) & 0o755 | 0o600
            if entry.link:
                info.type, info.linkname = tarfile.SYMTYPE, entry.link
                tar.addfile(info)
            elif stat.S_ISDIR(entry.mode):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                total += _pack_file(tar, info, root, size_max - total)
    return total


def unpack(source: BinaryIO, target: Path, *, size_max: int, compressed_size: int) -> int:
    """Unpack a user's tar (plain or compressed) into the folder `target`; answers the bytes
    written. Raises JobFailed for bombs, devices, and names or links that point out."""
    target.mkdir(parents=True, exist_ok=True)
    budget = _Budget(size_max, max(compressed_size, 1) * RATIO_MAX + RATIO_FREE_BYTES)
    try:
        with tarfile.open(fileobj=source, mode="r|*", tarinfo=BoundedInfo) as tar:
            for count, info in enumerate(tar):
                if count >= ENTRIES_MAX:
                    raise JobFailed(f"the archive has more than {ENTRIES_MAX} entries")
                _unpack_one(tar, info, target, budget)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise JobFailed(f"the archive cannot be unpacked: {error}") from error
    return budget.used


class BoundedInfo(tarfile.TarInfo):
    """A member whose extended header (long names, PAX) is small: tarfile holds it in memory."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        is_extension = self.type in EXTENSIONS
        if is_extension and self.size > EXTENSION_SIZE_MAX:
            raise tarfile.ReadError("an extended header is too large")
        return super()._proc_member(tar)  # type: ignore[misc,no-any-return]  # tarfile's own hook


@dataclass(slots=True)
class _Budget:
    size_max: int
    ratio_max: int
    used: int = 0

    def spend(self, size: int) -> None:
        self.used += size
        if self.used > min(self.size_max, self.ratio_max):
            raise JobFailed(f"the archive expands to more than {self.used - size} bytes allow")


def _unpack_one(tar: tarfile.TarFile, info: tarfile.TarInfo, target: Path, budget: _Budget) -> None:
    name = _inner_name(info.name)
    if not name:
        return
    path = target / name
    _make_parents(target, path)
    if info.isdir():
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            path.mkdir()
    elif info.isfile():
        _unpack_file(tar, info, path, budget)
    elif info.issym():
        if not _stays_inside(name, info.linkname):
            raise JobFailed(f"{_shown(name)} is a link that points out of the archive")
        _make_way(path)
        path.symlink_to(info.linkname)
    elif info.islnk():
        _unpack_hard_link(target, info, path, budget)
    else:
        raise JobFailed(f"{_shown(name)} is a device or a FIFO")


def _unpack_file(tar: tarfile.TarFile, info: tarfile.TarInfo, path: Path, budget: _Budget) -> None:
    _make_way(path)
    content = tar.extractfile(info)
    assert content is not None
    with path.open("xb") as file:
        while chunk := content.read(CHUNK):
            budget.spend(len(chunk))
            file.write(chunk)
    path.chmod(0o755 if info.mode & 0o100 else 0o644)


def _unpack_hard_link(target: Path, info: tarfile.TarInfo, path: Path, budget: _Budget) -> None:
    """As a copy: what it names must have come before, and be a regular file inside."""
    with open_file(target, _inner_name(info.linkname)) as source:
        _make_way(path)
        with path.open("xb") as file:
            while chunk := source.read(CHUNK):
                budget.spend(len(chunk))
                file.write(chunk)


def _make_way(path: Path) -> None:
    """A later entry replaces an earlier one of its name, never what that one points to."""
    if path.is_symlink() or path.is_file():
        path.unlink()


def _make_parents(target: Path, path: Path) -> None:
    """Folders above `path`; none of them may be a link."""
    for parent in reversed(path.relative_to(target).parents):
        folder = target / parent
        if folder.is_symlink():
            raise JobFailed(f"{_shown(str(parent))} is a link, and a file is to go below it")
        folder.mkdir(exist_ok=True)


def _inner_name(name: str) -> str:
    """`name` without `.` parts; JobFailed when it could leave the root."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise JobFailed(f"{_shown(name)} points out of the archive")
    if len(path.parts) > DEPTH_MAX:
        raise JobFailed(f"{_shown(name)}: folders are nested too deeply")
    return "" if path == PurePosixPath(".") else str(path)


def _stays_inside(name: str, link: str) -> bool:
    """Whether a link called `name` that says `link` stays below the root. Judged by the words
    alone: `..` may not go above the root at any point."""
    if not link or link.startswith("/") or "\0" in link:
        return False
    depth = len(PurePosixPath(name).parts) - 1
    for part in link.split("/"):
        if part == "..":
            depth -= 1
        elif part not in {"", "."}:
            depth += 1
        if depth < 0:
            return False
    return True


def _entry(held: int, name: str) -> Entry:
    last = name.rpartition("/")[2]
    found = os.lstat(last, dir_fd=held)
    if stat.S_ISLNK(found.st_mode):
        link = os.readlink(last, dir_fd=held)
        if not _stays_inside(name, link):
            raise JobFailed(f"{_shown(name)} is a link that points out of its folder")
        return Entry(name=name, mode=found.st_mode, size=0, link=link)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise JobFailed(f"{_shown(name)} is neither a file nor a folder")
    changed = found.st_mtime_ns
    return Entry(name=name, mode=found.st_mode, size=found.st_size, changed_ns=changed)


def _pack_file(tar: tarfile.TarFile, info: tarfile.TarInfo, root: Path, room: int) -> int:
    with open_file(root, info.name) as file:
        info.size = os.fstat(file.fileno()).st_size
        if info.size > room:
            raise JobFailed(f"{_shown(info.name)}: the outputs are too large")
        tar.addfile(info, file)
    return info.size


def _is_text(name: str) -> bool:
    """Names that are not UTF-8 reach Python with surrogates in them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    return ascii(name[:NAME_SHOWN_MAX])[1:-1]

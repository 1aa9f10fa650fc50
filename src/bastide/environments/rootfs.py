"""A root file system in the making. Layers name paths as if they were `/`, with links anywhere;
each is resolved by hand below the real folder, so nothing is ever written outside of it."""

import os
import stat
import tarfile
from pathlib import Path, PurePosixPath

from bastide.jobs import folders

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
LINKS_MAX = 40
CHUNK = 1024 * 1024
MOUNT_FOLDERS = ("proc", "dev", "sys", "tmp", "run", "opt/ml", "etc")
MOUNT_FILES = ("etc/passwd", "etc/group", "etc/hosts", "etc/nsswitch.conf")


class OutOfBounds(Exception):
    """A layer wants more than it may have."""


class Root:
    """The folder `path`, filled layer by layer."""

    def __init__(self, path: Path, *, size_max: int, entries_max: int) -> None:
        self._path = path
        self._size_max = size_max
        self._entries_left = entries_max
        self.written = 0

    def white_out(self, layer: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        """Take away what one entry of a layer hides of the layers below."""
        self._entries_left -= 1
        if self._entries_left < 0:
            raise OutOfBounds("the image has too many files")
        *above, name = _parts(info.name) or [""]
        if name == OPAQUE:
            for child in list(self._folder(above).iterdir()):
                _remove(child)
        elif name.startswith(WHITEOUT):
            hidden = name.removeprefix(WHITEOUT)
            if hidden in {"", ".", ".."}:
                raise OutOfBounds(f"{ascii(info.name)[:80]} hides nothing")
            _remove(self._folder(above) / hidden)

    def add(self, layer: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        """Put one entry of a layer where it belongs."""
        *above, name = _parts(info.name) or [""]
        if name and not name.startswith(WHITEOUT):
            self._put(layer, info, self._folder(above) / name)

    def prepare(self, workdir: str) -> None:
        """Make what the sandbox mounts over: real folders and files, never links; and the folder
        that its programs start in."""
        self._folder(_parts(workdir))
        for name in MOUNT_FOLDERS:
            path = self._path
            for part in name.split("/"):
                path = path / part
                if path.is_symlink() or not path.is_dir():
                    _remove(path)
                    path.mkdir()
        for name in MOUNT_FILES:
            path = self._path / name
            if path.is_symlink() or not path.is_file():
                _remove(path)
                path.touch()

    def _put(self, layer: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> None:
        if info.isdir():
            if path.is_symlink() or not path.is_dir():
                _remove(path)
                path.mkdir()
            path.chmod(0o755)
        elif info.issym():
            _remove(path)
            path.symlink_to(info.linkname)
        elif info.islnk():
            self._link(info, path)
        elif info.issparse():
            raise OutOfBounds(f"{ascii(info.name)[:80]} is a sparse file")
        elif info.isfile():
            _remove(path)
            self._write(layer, info, path)
        # Devices and FIFOs are left out: the sandbox brings its own /dev.

    def _link(self, info: tarfile.TarInfo, path: Path) -> None:
        parts = _parts(info.linkname)
        if not parts:
            raise OutOfBounds("a hard link names nothing")
        source = self._folder(parts[:-1]) / parts[-1]
        if not stat.S_ISREG(source.lstat().st_mode):
            raise OutOfBounds(f"{ascii(info.linkname)[:80]} is no file to link to")
        _remove(path)
        os.link(source, path, follow_symlinks=False)

    def _write(self, layer: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> None:
        content = layer.extractfile(info)
        assert content is not None
        with path.open("xb") as file:
            while chunk := content.read(CHUNK):
                self.written += len(chunk)
                if self.written > self._size_max:
                    raise OutOfBounds("the image is too large")
                file.write(chunk)
        path.chmod(0o755 if info.mode & 0o111 else 0o644)

    def _folder(self, parts: list[str]) -> Path:
        """The real folder that `parts` mean; made where missing. Links are followed as if the
        root were `/`, and `..` stops there."""
        ahead, here, links = list(parts), list[str](), 0
        while ahead:
            part = ahead.pop(0)
            if part == "..":
                here = here[:-1]
                continue
            path = self._path.joinpath(*here, part)
            if path.is_symlink():
                links += 1
                if links > LINKS_MAX:
                    raise OutOfBounds("links go in circles")
                text = os.readlink(path)
                here = [] if text.startswith("/") else here
                ahead = [each for each in text.split("/") if each not in {"", "."}] + ahead
                continue
            if not path.is_dir():
                _remove(path)
                path.mkdir()
            here.append(part)
        return self._path.joinpath(*here)


def _parts(name: str) -> list[str]:
    if "\0" in name:
        raise OutOfBounds("a name holds a NUL")
    parts = [part for part in PurePosixPath(name).parts if part not in {"/", "."}]
    if ".." in parts:
        raise OutOfBounds(f"{ascii(name)[:80]} points out of the image")
    return parts


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        folders.remove(path)

"""Small files that survive `kill -9` and power loss: written aside, synced, then named."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def create(path: Path, data: bytes, mode: int = 0o600) -> bool:
    """Make `path` with `data`, whole or not at all. False when it was there already."""
    aside = _written(path, data, mode)
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    finally:
        aside.unlink()
        sync_folder(path.parent)
    return True


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put `data` at `path`: a reader, or a crash, sees the old content or the new."""
    aside = _written(path, data, mode)
    try:
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def folder(path: Path, mode: int = 0o700) -> None:
    """Make a folder, durably, if it is not there."""
    if not path.is_dir():
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        sync_folder(path.parent)


@contextmanager
def alone_in(path: Path) -> Iterator[None]:
    """Wait until nobody else, of any process, is within the same block for this folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _written(path: Path, data: bytes, mode: int) -> Path:
    """A synced file beside `path`. A torn one that a crash leaves is never read again."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    return aside

"""Where a job's files are. Ids come from callers, so they are hashed before they name a folder."""

import contextlib
import errno
import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bastide.jobs.executor import Attempt
from bastide.jobs.model import Job, Launch

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Folders:
    """Everything of the runner lies below `root`."""

    root: Path

    def of(self, job_id: str) -> Path:
        return self.root / "jobs" / _name(job_id)

    def work(self, job_id: str) -> Path:
        """What the job's kind fills."""
        return self.of(job_id) / "work"

    def sockets(self, job_id: str, replica: int) -> Path:
        """Short, because AF_UNIX names end at 107 bytes."""
        return self.root / "s" / f"{_name(job_id)[:16]}-{replica}"

    def attempt(self, job: Job, replica: int, attempt: int) -> Attempt:
        return Attempt(
            key=f"{_name(job.spec.id)}-{replica}-{attempt}",
            replica=replica,
            folder=self.of(job.spec.id) / f"attempt-{replica}-{attempt}",
            account=job.spec.account,
            sockets=self.sockets(job.spec.id, replica) if job.spec.service else None,
        )

    def save_launches(self, job_id: str, launches: Sequence[Launch]) -> None:
        """Durable: a job that was prepared once is not prepared again after a crash."""
        path = self.of(job_id) / "launches.json"
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(list(launches), enc_hook=str))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o600)
        temporary.rename(path)

    def launches(self, job_id: str) -> list[Launch] | None:
        """What was prepared; None when it was not yet."""
        try:
            text = (self.of(job_id) / "launches.json").read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(text, type=list[Launch], dec_hook=_path)


def walk(folder: Path) -> Iterator[tuple[int, list[str], list[str]]]:
    """As `os.fwalk` from the top, for what a tenant filled, once nothing of theirs runs: however
    deep it is, one folder is open at a time, and no function calls itself. No link is followed. A
    folder that the caller takes from its list is not entered. Raises OSError."""
    held, ahead = os.open(folder, _FOLDER), list[tuple[tuple[int, int], list[str]]]()
    try:
        while True:
            folders, files = _parted(held)
            yield held, folders, files
            ahead.append((_identity(held), folders))
            while not ahead[-1][1]:
                ahead.pop()
                if not ahead:
                    return
                held = _stepped(held, "..")
                if _identity(held) != ahead[-1][0]:
                    raise OSError(errno.ESTALE, "a folder was moved while it was walked")
            held = _stepped(held, ahead[-1][1].pop())
    finally:
        os.close(held)


def _parted(held: int) -> tuple[list[str], list[str]]:
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(held) as found:
        for entry in found:
            (folders if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
    return folders, files


def _identity(held: int) -> tuple[int, int]:
    found = os.fstat(held)
    return found.st_dev, found.st_ino


def _stepped(held: int, name: str) -> int:
    """The folder of that name in place of the one that is open."""
    there = os.open(name, _FOLDER, dir_fd=held)
    os.close(held)
    return there


def remove(folder: Path) -> None:
    """A folder that a tenant filled, once nothing of theirs runs, however deep it is."""
    with contextlib.suppress(FileNotFoundError):
        empty_at(folder)
        folder.rmdir()


def empty_at(folder: Path) -> None:
    held = os.open(folder, _FOLDER)
    try:
        empty(held)
    finally:
        os.close(held)


def empty(held: int) -> None:
    """All that is in an open folder: what lies two below is brought up a step, so that no name
    grows and no function calls itself."""
    free = (f"{os.urandom(8).hex()}.{number}" for number in itertools.count())
    while names := os.listdir(held):
        for name in names:
            if not _unlinked(name, held):
                _flatten(held, name, free)


def _flatten(held: int, name: str, free: Iterator[str]) -> None:
    inner = os.open(name, _FOLDER, dir_fd=held)
    try:
        for each in os.listdir(inner):
            if not _unlinked(each, inner):
                os.rename(each, next(free), src_dir_fd=inner, dst_dir_fd=held)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=held)


def _unlinked(name: str, held: int) -> bool:
    """False for a folder, which may be opened then, whatever its owner made of it."""
    try:
        os.unlink(name, dir_fd=held)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        os.chmod(name, 0o700, dir_fd=held)
        return False
    return True


def _name(job_id: str) -> str:
    return hashlib.sha256(job_id.encode()).hexdigest()[:32]


def _path(kind: type, value: object) -> object:
    if issubclass(kind, Path):
        return Path(str(value))
    raise NotImplementedError(kind)

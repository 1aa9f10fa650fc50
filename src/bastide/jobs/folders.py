"""Where a job's files are. Ids come from callers, so they are hashed before they name a folder."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bastide.jobs.executor import Attempt
from bastide.jobs.model import Job, Launch


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


def _name(job_id: str) -> str:
    return hashlib.sha256(job_id.encode()).hexdigest()[:32]


def _path(kind: type, value: object) -> object:
    if issubclass(kind, Path):
        return Path(str(value))
    raise NotImplementedError(kind)

"""Checkpoints go to S3 while a job runs, and the last of them when it has ended.

A file is taken once it has stood still between two looks, and given up when it changes while it
is read: nothing half written is ever seen. What a crash of this process forgets is only which
files are there already; they are sent again.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from bastide.jobs import outputs
from bastide.jobs.model import Job
from bastide.jobs.ports import JobFailed, Jobs
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.training.transfer import Transfer, join, pieces, split_uri

logger = logging.getLogger(__name__)
PERIOD_S = 5.0
WORKERS = 8
KNOWN_MAX = 4096
State = tuple[int, int]  # size, time of the last change in nanoseconds


class Moved(Exception):
    """The file changed while it was read."""


@dataclass(slots=True)
class _Known:
    """Of one job: how its files stood at the last look, and which state of each is in S3."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: dict[str, State] = field(default_factory=dict)
    sent: dict[str, State] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where a job's checkpoints are, in its home and in S3. The home is not the job's to replace,
    all below it is; `room` is the most bytes that they may hold."""

    job_id: str
    home: Path
    below: str
    uri: str
    room: int


@dataclass(slots=True)
class Checkpoints:
    """What of each job's checkpoints is in S3."""

    _known: dict[str, _Known] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, kept: Kept, transfer: Transfer) -> None:
        """What has stood still since the last look and is not there yet. Raises JobFailed."""
        known = self._of(kept.job_id)
        with known.lock:
            before, known.seen = known.seen, _states(kept)
            for name, state in known.seen.items():
                if before.get(name) == state:
                    _send(known, kept, transfer, name)

    def finish(self, kept: Kept, transfer: Transfer) -> None:
        """All that is not there yet: the job has ended. Raises JobFailed."""
        known = self._of(kept.job_id)
        with known.lock:
            known.seen = _states(kept)
            for name in known.seen:
                _send(known, kept, transfer, name)
        with self._lock:
            self._known.pop(kept.job_id, None)

    def _of(self, job_id: str) -> _Known:
        with self._lock:
            if job_id not in self._known and len(self._known) >= KNOWN_MAX:
                # One that is forgotten is sent again.
                self._known.pop(next(iter(self._known)))
            return self._known.setdefault(job_id, _Known())


def _states(kept: Kept) -> dict[str, State]:
    """The regular files, by their names below `home`."""
    found = outputs.files(kept.home, kept.below, size_max=kept.room)
    return {entry.name: (entry.size, entry.changed_ns) for entry in found}


def _send(known: _Known, kept: Kept, transfer: Transfer, name: str) -> None:
    state, (bucket, prefix) = known.seen[name], split_uri(kept.uri)
    if known.sent.get(name) == state:
        return
    key = join(prefix, name.removeprefix(f"{kept.below}/"))
    with outputs.open_file(kept.home, name) as file:
        try:
            transfer.upload(bucket, key, _unmoved(file, state))
        except Moved:
            return  # the next look sees what it has become
    known.sent[name] = state


def _unmoved(file: BinaryIO, state: State) -> Iterator[bytes]:
    left = state[0]
    for piece in pieces(file):
        left -= len(piece)
        if left < 0:  # it grows, perhaps as fast as it is read
            raise Moved
        yield piece
    found = os.fstat(file.fileno())
    if (found.st_size, found.st_mtime_ns) != state:
        raise Moved


class CheckpointSync:
    """The thread that looks at the running jobs of a kind. Periodic, without input: what it
    misses, the next look finds. An agency has one worker at a time, so that its long uploads
    hold off its own jobs and not the others'."""

    def __init__(
        self, jobs: Jobs, kind: str, work: Callable[[Job, Path], None], period_s: float = PERIOD_S
    ) -> None:
        self._jobs, self._kind, self._work = jobs, kind, work
        self._period_s = period_s
        self._pool = ThreadPoolExecutor(WORKERS, "checkpoints")
        self._busy: set[str] = set()  # agencies; only a look adds to it
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoint-sync", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    def look(self) -> None:
        """Once over all jobs that run now, but for agencies that are still being looked at."""
        wait(self._begin())

    def _run(self) -> None:
        while not self._stopping.wait(self._period_s):
            self._begin()

    def _begin(self) -> list[Future[None]]:
        found: dict[str, list[tuple[Job, Path]]] = {}
        for job, folder in self._jobs.running(self._kind):
            found.setdefault(job.spec.account, []).append((job, folder))
        free = found.keys() - self._busy
        self._busy |= free
        return [self._pool.submit(self._agency, account, found[account]) for account in free]

    def _agency(self, account: str, found: list[tuple[Job, Path]]) -> None:
        try:
            for job, folder in found:
                if not self._stopping.is_set():
                    self._one(job, folder)
        finally:
            self._busy.discard(account)

    def _one(self, job: Job, folder: Path) -> None:
        try:
            self._work(job, folder)
        except (JobFailed, ServiceError, Unavailable, OSError) as error:
            logger.info("checkpoints of %s wait: %s", job.spec.id, error)  # the end will tell
        except Exception:  # the edge: one job's fault holds off no other's checkpoints
            logger.exception("the checkpoints of %s were not taken", job.spec.id)

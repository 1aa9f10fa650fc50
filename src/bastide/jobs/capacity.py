"""How much of this machine the jobs may take, and who has taken what. A job waits as PENDING
until all of its replicas fit at once."""

import os
import threading
from dataclasses import dataclass

from bastide.jobs.model import Job

CPUS_DEFAULT = 1.0
OVERCOMMIT = 4.0  # shares of a processor are given back when idle; memory is not
RESERVE_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Capacity:
    """Of the machine, or asked for by one job."""

    cpus: float
    memory_bytes: int

    def holds(self, other: "Capacity") -> bool:
        return other.cpus <= self.cpus + 1e-9 and other.memory_bytes <= self.memory_bytes


def of_host(cpus: float | None = None, memory_bytes: int | None = None) -> Capacity:
    """What was configured; else the machine's own."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Capacity(
        cpus=(os.cpu_count() or 1) * OVERCOMMIT if cpus is None else cpus,
        memory_bytes=max(total - RESERVE_BYTES, total // 2)
        if memory_bytes is None
        else memory_bytes,
    )


def demand(job: Job) -> Capacity:
    limits, replicas = job.spec.limits, job.spec.replicas
    cpus = CPUS_DEFAULT if limits.cpus is None else limits.cpus
    return Capacity(cpus * replicas, (limits.memory_bytes or 0) * replicas)


class Ledger:
    """What is promised to whom."""

    def __init__(self, total: Capacity) -> None:
        self.total = total
        self._lock = threading.Lock()
        self._taken: dict[str, Capacity] = {}

    def take(self, job_id: str, wanted: Capacity, *, force: bool = False) -> bool:
        """Reserve; `force` for what runs already. Taking twice is taking once."""
        with self._lock:
            if job_id in self._taken:
                return True
            cpus = sum(each.cpus for each in self._taken.values()) + wanted.cpus
            memory = sum(each.memory_bytes for each in self._taken.values()) + wanted.memory_bytes
            if not force and not self.total.holds(Capacity(cpus, memory)):
                return False
            self._taken[job_id] = wanted
            return True

    def release(self, job_id: str) -> None:
        with self._lock:
            self._taken.pop(job_id, None)

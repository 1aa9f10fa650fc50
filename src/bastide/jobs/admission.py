"""Who gets a place on this machine: first come, first served. Services and training share it."""

from bastide.jobs.capacity import Ledger, demand
from bastide.jobs.machine import AdmitRefused, Admitted
from bastide.jobs.model import Job


class Admission:
    """Only one thread asks. `turn` is a number that grows with each that asks for the first time;
    whoever found no room asks again by the same one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: set[int] = set()

    def room_for(self, job: Job, turn: int) -> Admitted | AdmitRefused | None:
        """None: not yet, and nobody who came later goes first."""
        wanted, total = demand(job), self._ledger.total
        if not total.holds(wanted):
            return AdmitRefused(
                "CapacityError: Unable to provision requested ML compute capacity. "
                f"The job needs {wanted.cpus:g} CPUs and {wanted.memory_bytes >> 20} MiB; "
                f"jobs may use {total.cpus:g} CPUs and {total.memory_bytes >> 20} MiB here."
            )
        self._waiting.add(turn)
        if turn != min(self._waiting) or not self._ledger.take(job.spec.id, wanted):
            return None
        self._waiting.remove(turn)
        return Admitted()

    def gone(self, turn: int) -> None:
        """It waits no more: its job has ended."""
        self._waiting.discard(turn)

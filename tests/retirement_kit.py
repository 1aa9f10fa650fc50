"""A log with officers who may retire what is old in it."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from bastide.db import Database
from bastide.evidence.model import Trail
from bastide.evidence.retirements import Asked, Retirements
from bastide.kernel.approvals import NotApproved
from tests.officers_kit import Office
from tests.receipts_kit import Ledger

OLD_S = 100 * 86_400


@dataclass
class FakeDeliveries:
    """Trails that have something to tell, until they are delivered."""

    left: list[Trail] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def deliver(self) -> None:
        self.asked.append(0)

    def undelivered(self, size: int) -> list[Trail]:
        self.asked.append(size)
        return self.left


class Archive(Ledger):
    """`begin` enrols a security officer and an auditor."""

    def __init__(self, database: Database, folder: Path, keep_days: int = 90) -> None:
        super().__init__(database, folder)
        self.office = Office(database, clock=self.clock, trail=self.trail)
        self.deliveries = FakeDeliveries()
        self.files = folder / "retired"
        self.retirements = Retirements(
            database=database, log=self.log, trail=self.trail, clock=self.clock,
            approvals=self.office.book, deliveries=self.deliveries, folder=self.files,
            keep=timedelta(days=keep_days),
        )  # fmt: skip

    def begin(self) -> None:
        self.office.enrol("ann", "security-officer")
        self.office.enrol("bob", "security-officer", "auditor")

    def agree(self, up_to: int) -> Asked:
        """Ask for a retirement, and have it signed."""
        asked = Asked(requester="operator", up_to=up_to)
        try:
            self.retirements.retire(asked)
        except NotApproved as waits:
            for name in ("ann", "bob"):
                self.office.say(waits.request_id, name)
        return asked

    def retire(self, up_to: int) -> dict:
        return self.retirements.retire(self.agree(up_to))

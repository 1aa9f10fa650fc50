"""`python -m tests.contract.policy.dying URL POINT FILE`: carries out what is approved, and is
killed at POINT on the way. What it did is a row (an officer's suspension) and a file."""

import os
import signal
import sys
from pathlib import Path

from tests.officers_kit import Office, ToldTrail

from bastide.db import Database
from bastide.kernel.approvals import Kind
from bastide.policy import approval_records as records

POINTS = ("before the use", "in the transaction", "after the use", "after the effect")
ACTION = {"user": "carol", "clearance": "SECRET"}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingTrail(ToldTrail):
    """Dies when it is told of a use: the approval was looked at, and is not used yet."""

    def operator(self, action, facts, code=""):
        if action == "UseApproval" and not code:
            die()
        return super().operator(action, facts, code)


def carry_out(url: str, point: str, file: Path) -> None:
    database = Database(url)
    database.start()
    before = point == "before the use"
    office = Office(database, trail=DyingTrail() if before else ToldTrail())

    def effect(connection):
        records.set_suspended(connection, "rob", True)
        if point == "in the transaction":
            die()

    office.book.carry_out(Kind.CLEARANCE_GRANT, ACTION, "operator", effect)
    if point == "after the use":
        die()
    file.write_text("done")
    die()


if __name__ == "__main__":
    carry_out(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

"""Two-person integrity, joined: the officers of a region and what they sign."""

from dataclasses import dataclass

from bastide.app.core import Core
from bastide.kernel.approvals import Kind
from bastide.operators.approvals import ApprovalRoom
from bastide.policy.agreement import Agreement
from bastide.policy.approval_model import DAY_MS, HOUR_MS, Terms
from bastide.policy.approvals import ApprovalBook
from bastide.policy.cedar.engine import CedarEngine
from bastide.policy.cedar.slices import Named, Slices, packaged
from bastide.policy.officers import OfficerBook
from bastide.settings import ApprovalSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPersons:
    """`book` is the `Approvals` of whoever has to ask."""

    book: ApprovalBook
    officers: OfficerBook
    room: ApprovalRoom


def open_approvals(core: Core) -> TwoPersons:
    book = ApprovalBook(
        region=core.region.name,
        database=core.database,
        clock=core.clock,
        ids=core.ids,
        trail=core.trail,
        terms=terms_of(core.settings.approvals),
        agreement=Agreement(
            decider=CedarEngine(Slices(packaged(), no_policies)), ceiling=core.labelling.ceiling
        ),
    )
    officers = OfficerBook(
        database=core.database, clock=core.clock, trail=core.trail, approvals=book
    )
    return TwoPersons(book=book, officers=officers, room=ApprovalRoom(book=book, officers=officers))


def no_policies(account: str) -> Named:
    """What the region's officers do, no agency narrows."""
    return ()


def terms_of(settings: ApprovalSettings) -> Terms:
    return Terms(
        valid_ms=settings.valid_days * DAY_MS,
        key_wait_ms=settings.key_deletion_wait_days * DAY_MS,
        countersign_ms=settings.countersign_hours * HOUR_MS,
        glass=frozenset(Kind(one) for one in settings.break_glass),
    )

"""Calls whose end nobody saw: the region was killed before it was in the log.

They are looked for once, at start, when no call is under way. Each is closed by a record that says
so, and no more than is known; of an inference it is what the receipt says. What a crash interrupts
here is done by the next start: a call that was closed is not found again.
"""

from bastide.audit import records, retirement_records
from bastide.audit.model import Kind, Record, decode, has_an_end
from bastide.audit.trail import AuditTrail
from bastide.db import Database

_PAGE = 1_000


def close_lost_ends(database: Database, trail: AuditTrail) -> int:
    """How many calls had no end. Durable when it returns."""
    until = database.read(records.size)
    lost = list(_lost(database, until).items())
    for start in range(0, len(lost), _PAGE):
        told = [trail.lost(index, call) for index, call in lost[start : start + _PAGE]]
        for each in told:
            each.result()
    database.write(lambda c: records.set_ends_known(c, until))
    return len(lost)


def _lost(database: Database, until: int) -> dict[int, Record]:
    """The calls without an end before `until`, by their index."""
    first = database.read(lambda c: max(records.ends_known(c), retirement_records.retired(c)))
    at: dict[str, int] = {}
    found: dict[int, Record] = {}
    while first < until:
        page = database.read(
            lambda c, first=first: records.unclosed(c, first, until, _PAGE)  # type: ignore[misc]
        )
        for index, body in page:
            record = decode(body)
            if record.kind == Kind.CLOSED:  # it did not know where its call is
                found.pop(at.pop(record.id, -1), None)
            elif has_an_end(record):
                at[record.id], found[index] = index, record
        first = page[-1][0] + 1 if page else until
    return found

"""An agency's own default label: who must sign for another, and whom it reaches."""

from dataclasses import replace

import pytest
from tests.identity_kit import site_at
from tests.labels_kit import labelling
from tests.officers_kit import Office

from bastide.identity import clearance_records, records
from bastide.identity.agencies import ADMINISTRATOR
from bastide.identity.model import Kind as Entity
from bastide.kernel.approvals import Kind, NotApproved
from bastide.kernel.errors import ServiceError
from bastide.operators.agency_labels import AgencyLabelRoom


@pytest.fixture
def site(database, tmp_path):
    made = site_at(database, tmp_path)
    made.agencies.create_many(["alpha", "beta"])
    return made


@pytest.fixture
def office(database):
    made = Office(database)
    for name in ("ann", "bob"):
        made.enrol(name, "security-officer", "reviewer", "releaser")
    return made


@pytest.fixture
def room(site, office):
    return AgencyLabelRoom(
        agencies=site.agencies,
        labelling=replace(labelling(), default_of=site.directory.label_of),
        approvals=office.book,
        changed=site.clearances.changed,
    )


def put(room, office, marking, agency="alpha"):
    """Set it, as two officers sign for it; the request that they signed."""
    with pytest.raises(NotApproved) as waits:
        room.put(agency, marking, "operator")
    for name in ("ann", "bob"):
        office.say(waits.value.request_id, name)
    assert room.put(agency, marking, "operator")["label"] == marking
    return office.book.find(waits.value.request_id)


def test_a_higher_default_clears_those_who_were_granted_nothing_and_says_so(site, office, room):
    account = site.agencies.account_of("alpha")
    plain = site.directory.get(account, Entity.USER, ADMINISTRATOR)
    role = site.directory.get(account, Entity.ROLE, "BastideExecutionRole")
    granted = site.clearances.offer(account, f"role/{role.name}", "U")
    site.directory.database.write(lambda c: clearance_records.put(c, granted))
    site.clearances.changed(account)
    before = site.clearances.of(plain), site.clearances.of(role)
    other = site.administrator("beta")

    asked = put(room, office, "S")
    cleared = site.clearances.of(plain)
    assert asked.kind is Kind.CLEARANCE_GRANT
    assert asked.what["who_was_granted_nothing_sees_up_to"] == cleared.text
    assert asked.what["and_before"] == before[0].text
    assert cleared.level == room.labelling.scheme.parse("S").level
    assert site.clearances.of(role) == before[1]
    assert site.administrator("alpha").session.text == "S"
    assert site.administrator("beta").clearance == other.clearance

    asked = put(room, office, "U")
    assert asked.kind is Kind.DOWNGRADE
    assert site.clearances.of(plain) == before[0]


def test_a_default_never_goes_aside(office, room):
    put(room, office, "S//SI")
    with pytest.raises(ServiceError, match="neither above S//SI nor below"):
        room.put("alpha", "S//TK", "operator")
    put(room, office, "TS//SI/TK")
    assert put(room, office, "S//TK").kind is Kind.DOWNGRADE


def test_a_lower_default_that_clears_for_more_is_refused(office, room):
    """A nation's secret that others may see clears for no NOFORN; what is open clears its own
    nation's people for that."""
    put(room, office, "S//REL TO USA GBR")
    with pytest.raises(ServiceError, match="neither above"):
        room.put("alpha", "U", "operator")


def test_nothing_above_the_region_and_no_other_words(room):
    for marking in ("TS//HCS-P", "S//WHAT", "", "X" * 2_000):
        with pytest.raises(ServiceError):
            room.put("alpha", marking, "operator")
    with pytest.raises(ServiceError, match="is U already"):
        room.put("alpha", "u", "operator")
    with pytest.raises(ServiceError, match="no agency gamma"):
        room.row("gamma")


def test_what_was_changed_meanwhile_is_not_what_was_signed(site, office, room):
    with pytest.raises(NotApproved) as waits:
        room.put("alpha", "S", "operator")
    for name in ("ann", "bob"):
        office.say(waits.value.request_id, name)
    carry_out = office.book.carry_out

    def late(kind, action, requester, effect):
        agency = site.agencies.get("alpha")
        site.directory.database.write(lambda c: records.set_label(c, agency, "C"))
        return carry_out(kind, action, requester, effect)

    slow = replace(room, approvals=_Slow(late))
    with pytest.raises(ServiceError, match="changed meanwhile"):
        slow.put("alpha", "S", "operator")
    assert room.row("alpha")["label"] == "C"
    assert office.book.find(waits.value.request_id).ended == ""


class _Slow:
    def __init__(self, carry_out):
        self.carry_out = carry_out

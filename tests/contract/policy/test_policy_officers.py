"""Officers on each database: the first two by the owner's word, all others by theirs."""

import pytest
from tests.officers_kit import Office

from bastide.cli import approvals
from bastide.kernel.approvals import Kind, NotApproved, digest_of
from bastide.kernel.errors import ServiceError
from bastide.operators.approvals import ApprovalRoom
from bastide.policy import officers


@pytest.fixture
def office(database):
    return Office(database)


@pytest.fixture
def staffed(office):
    office.enrol("ann", "security-officer")
    office.enrol("bob", "security-officer")
    return office


def names(office):
    return [one.name for one in office.officers.list()]


def test_the_first_two_need_nobody_and_the_third_needs_both(office):
    office.officers.enrol(office.new("ann", "security-officer"), "operator")
    office.officers.enrol(office.new("bob", "security-officer"), "operator")
    assert [action for action, *_ in office.trail.told] == ["EnrolFirstOfficer"] * 2
    third = office.new("eve", "key-custodian")
    with pytest.raises(NotApproved) as waits:
        office.officers.enrol(third, "operator")
    office.say(waits.value.request_id, "ann")
    with pytest.raises(NotApproved):
        office.officers.enrol(third, "operator")
    assert names(office) == ["ann", "bob"]
    office.say(waits.value.request_id, "bob")
    assert office.officers.enrol(third, "operator").name == "eve"
    assert names(office) == ["ann", "bob", "eve"]


def test_the_first_two_are_security_officers(office):
    with pytest.raises(ServiceError, match="first 2 officers"):
        office.officers.enrol(office.new("ann", "releaser"), "operator")
    assert names(office) == []


def test_suspending_all_does_not_begin_anew(staffed):
    for name in ("ann", "bob"):
        staffed.officers.suspend(name)
    with pytest.raises(NotApproved):
        staffed.officers.enrol(staffed.new("mal", "security-officer"), "operator")
    assert names(staffed) == ["ann", "bob"]


def test_a_suspension_ends_by_two(staffed):
    staffed.enrol("eve", "security-officer")
    assert staffed.officers.suspend("ann").suspended
    with pytest.raises(NotApproved) as waits:
        staffed.officers.reinstate("ann", "operator")
    staffed.say(waits.value.request_id, "bob")
    staffed.say(waits.value.request_id, "eve")
    assert not staffed.officers.reinstate("ann", "operator").suspended
    assert [one.suspended for one in staffed.officers.list()] == [False] * 3


def test_one_name_one_key_one_person(staffed):
    with pytest.raises(ServiceError, match="There is an officer ann"):
        staffed.officers.enrol(staffed.new("ann", "releaser"), "operator")
    twin = staffed.new("twin", "security-officer")
    staffed.people["twin"].key = staffed.people["ann"].key
    twin = staffed.new("twin", "security-officer")
    with pytest.raises(ServiceError, match="another officer's"):
        staffed.officers.enrol(twin, "operator")


def test_the_key_that_was_approved_is_the_one_enrolled(staffed):
    with pytest.raises(NotApproved) as waits:
        staffed.officers.enrol(staffed.new("eve", "releaser"), "operator")
    for name in ("ann", "bob"):
        staffed.say(waits.value.request_id, name)
    del staffed.people["eve"]
    with pytest.raises(NotApproved) as other:
        staffed.officers.enrol(staffed.new("eve", "releaser"), "operator")
    assert other.value.request_id != waits.value.request_id


@pytest.mark.parametrize(
    ("name", "roles", "pem"),
    [
        ("Ann", ["reviewer"], None), ("", ["reviewer"], None), ("a" * 65, ["reviewer"], None),
        ("ann", [], None), ("ann", ["king"], None), ("ann", ["reviewer"], "not a key"),
    ],
)  # fmt: skip
def test_what_is_no_officer(office, name, roles, pem):
    new = office.new("ann", "reviewer")
    wrong = officers.NewOfficer(name=name, roles=roles, public_key=pem or new.public_key)
    with pytest.raises(ServiceError) as told:
        office.officers.enrol(wrong, "operator")
    assert told.value.code == "ValidationException"
    assert names(office) == []


def test_officers_are_bounded(staffed, monkeypatch):
    monkeypatch.setattr(officers, "OFFICERS_MAX", 2)
    with pytest.raises(ServiceError, match="are enough"):
        staffed.officers.enrol(staffed.new("eve", "reviewer"), "operator")


def test_who_is_not_there(staffed):
    with pytest.raises(ServiceError, match="no officer mal"):
        staffed.officers.suspend("mal")
    with pytest.raises(ServiceError, match="no officer mal"):
        staffed.officers.reinstate("mal", "operator")


def test_a_long_action_is_signed_kept_and_shown_whole(office, capsys):
    lines = [f'put the policy p{number} {{"Sid": "{"s" * 80}"}}' for number in range(9_000)]
    action = {"deed": "ReleaseTransfer", "direction": "up", "does": "\n".join(lines)}
    for name in ("ann", "bob"):
        office.enrol(name, "security-officer", "releaser")
    asked = office.book.request(Kind.TRANSFER_RELEASE, action, "operator")
    office.say(asked, "ann")
    office.say(asked, "bob")
    assert office.book.require(Kind.TRANSFER_RELEASE, action, "operator") == asked
    shown = ApprovalRoom(book=office.book, officers=office.officers).show(asked)
    assert digest_of(shown["action"]) == shown["digest"]
    assert shown["action"] == action
    approvals._print(shown)
    told = capsys.readouterr().out
    assert all(f"  does: {line}\n" in told for line in lines)

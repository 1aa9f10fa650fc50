"""Requests for approval on each database: signed by two, used once, and every no on record."""

import pytest
from sqlalchemy import text
from tests.officers_kit import Office

from bastide.kernel.approvals import Kind, NotApproved
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.statements import Verdict, sign
from bastide.policy import approvals
from bastide.policy.approval_model import DAY_MS, Refused, Standing, Terms

GRANT = {"user": "carol", "clearance": "SECRET"}
CAROL = "arn:aws-us-gov:iam::123456789012:user/carol"
DAY_S = DAY_MS // 1000


@pytest.fixture
def office(database):
    made = Office(database)
    made.enrol("ann", "security-officer")
    made.enrol("bob", "security-officer", "key-custodian")
    made.enrol("eve", "security-officer", "key-custodian", known_as=(CAROL,))
    made.enrol("rob", "reviewer")
    return made


def waits(office, kind=Kind.CLEARANCE_GRANT, action=GRANT, requester="operator"):
    with pytest.raises(NotApproved) as told:
        office.book.require(kind, action, requester)
    return told.value.request_id


def standing(office, request):
    found = office.book.find(request)
    known = {one.name: one for one in office.officers.list()}
    return office.book.standing(found, known)


def refused(office, code, work):
    """`work` is refused for that reason, and that is the last thing on record."""
    before = len(office.trail.told)
    with pytest.raises(Refused) as told:
        work()
    assert told.value.why == code
    assert [code_ for *_, code_ in office.trail.told[before:]] == [code]


def test_asked_signed_by_two_and_used_once(office):
    request = waits(office)
    assert waits(office) == request
    assert office.book.request(Kind.CLEARANCE_GRANT, GRANT, "operator") == request
    office.say(request, "ann")
    assert waits(office) == request
    office.say(request, "bob")
    assert standing(office, request) is Standing.APPROVED
    assert office.book.require(Kind.CLEARANCE_GRANT, GRANT, "operator") == request
    assert standing(office, request) is Standing.USED
    assert waits(office) != request
    said = [(action, code) for action, facts, code in office.trail.told
            if facts.get("request") == request]  # fmt: skip
    assert said == [
        ("RequestApproval", ""), ("UseApproval", "NotApproved"), ("UseApproval", "NotApproved"),
        ("ApproveRequest", ""), ("UseApproval", "NotApproved"), ("ApproveRequest", ""),
        ("UseApproval", ""),
    ]  # fmt: skip


def test_the_effect_and_the_use_are_one_transaction(office):
    request = waits(office)
    for name in ("ann", "bob"):
        office.say(request, name)

    def failing(c):
        c.execute(text("UPDATE officers SET suspended = 1"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        office.book.carry_out(Kind.CLEARANCE_GRANT, GRANT, "operator", failing)
    assert standing(office, request) is Standing.APPROVED
    assert not any(one.suspended for one in office.officers.list())
    seen = office.book.carry_out(
        Kind.CLEARANCE_GRANT, GRANT, "operator",
        lambda c: c.execute(text("SELECT ended FROM approval_requests WHERE ended <> ''")).all(),
    )  # fmt: skip
    assert ("used",) in [tuple(row) for row in seen]


@pytest.mark.parametrize(
    ("kind", "action", "requester"),
    [
        (Kind.CLEARANCE_GRANT, GRANT | {"clearance": "TOP SECRET"}, "operator"),
        (Kind.CLEARANCE_GRANT, GRANT | {"more": None}, "operator"),
        (Kind.TRUST_ANCHOR_CHANGE, GRANT, "operator"),
        (Kind.CLEARANCE_GRANT, GRANT, CAROL),
    ],
    ids=["mutated", "widened", "other-kind", "other-requester"],
)
def test_an_approval_is_of_one_exact_action(office, kind, action, requester):
    request = waits(office)
    for name in ("ann", "bob"):
        office.say(request, name)
    assert waits(office, kind, action, requester) != request
    assert standing(office, request) is Standing.APPROVED


def test_an_action_that_was_changed_in_the_database_is_not_approved(office):
    request = waits(office)
    for name in ("ann", "bob"):
        office.say(request, name)
    other = '{"clearance":"TOP SECRET","user":"carol"}'
    office.database.write(
        lambda c: c.execute(
            text("UPDATE approval_requests SET action = :a WHERE id = :i"),
            {"a": other, "i": request},
        )
    )
    assert standing(office, request) is Standing.PENDING


def test_a_request_expires_exactly_then(office):
    request = waits(office)
    office.say(request, "ann")
    office.say(request, "bob")
    left_s = Terms().valid_ms / 1000
    office.clock.advance(left_s - 0.001)
    assert standing(office, request) is Standing.APPROVED
    office.clock.advance(0.001)
    assert standing(office, request) is Standing.EXPIRED
    refused(office, "Expired", lambda: office.say(request, "eve"))
    assert waits(office) != request


def test_expired_between_the_look_and_the_use(office, monkeypatch):
    request = waits(office)
    office.say(request, "ann")
    office.say(request, "bob")
    operator = office.trail.operator

    def slow(*args):
        office.clock.advance(8 * DAY_S)
        return operator(*args)

    with monkeypatch.context() as patched:
        patched.setattr(office.trail, "operator", slow)
        with pytest.raises(Refused, match="has expired"):
            office.book.require(Kind.CLEARANCE_GRANT, GRANT, "operator")
    assert office.trail.last() == ("UseApproval", "Expired")


def test_self_approval(office):
    request = waits(office, requester="officer/ann")
    refused(office, "RequesterHasNotSigned", lambda: office.say(request, "bob"))
    refused(office, "NotTheRequester", lambda: office.say(request, "bob", Verdict.ASK))
    office.say(request, "ann", Verdict.ASK)
    refused(office, "SelfApproval", lambda: office.say(request, "ann"))
    office.say(request, "bob")
    office.say(request, "eve")
    assert office.book.require(Kind.CLEARANCE_GRANT, GRANT, "officer/ann") == request


def test_self_approval_under_another_name(office):
    request = waits(office, requester=CAROL)
    refused(office, "SelfApproval", lambda: office.say(request, "eve"))


def test_the_same_officer_twice(office):
    request = waits(office)
    office.say(request, "ann")
    refused(office, "SignedBefore", lambda: office.say(request, "ann"))
    assert standing(office, request) is Standing.PENDING


def test_a_replay_of_an_approval_that_was_used(office):
    request = waits(office)
    said = office.people["ann"].says(office.book.find(request))
    office.book.sign(said[0].plain(), said[1])
    office.say(request, "bob")
    office.book.require(Kind.CLEARANCE_GRANT, GRANT, "operator")
    again = waits(office)
    refused(office, "AlreadyUsed", lambda: office.book.sign(said[0].plain(), said[1]))
    moved = said[0].plain() | {"request": again}
    refused(office, "BadSignature", lambda: office.book.sign(moved, said[1]))
    assert standing(office, again) is Standing.PENDING


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "00" * 32}, {"kind": "downgrade"}, {"requester": "officer/bob"}, {"wait_ms": 5},
        {"expires_ms": 9_999_999_999_999}, {"nonce": "00" * 16},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_statement_about_something_else(office, change):
    """Signed well by the right officer, but not of this request."""
    request = office.book.find(waits(office))
    body = request.statement(Verdict.APPROVE, "ann", "").plain() | change
    statement = type(request.statement(Verdict.APPROVE, "ann", ""))(
        **body | {"verdict": Verdict.APPROVE}
    )
    signature = sign(statement, office.people["ann"].key)
    refused(office, "NotThisRequest", lambda: office.book.sign(body, signature))


def test_another_region_refuses(office):
    request = office.book.find(waits(office))
    neighbour = Office(office.database, region="us-iso-east-1", people=office.people)
    theirs = neighbour.book.find(request.id)
    statement, signature = office.people["ann"].says(theirs)
    refused(office, "WrongRegion", lambda: office.book.sign(statement.plain(), signature))


def test_who_owns_the_socket_cannot_forge(office):
    request = office.book.find(waits(office))
    statement, _ = office.people["ann"].says(request)
    forged = sign(statement, office.people["rob"].key)
    refused(office, "BadSignature", lambda: office.book.sign(statement.plain(), forged))
    refused(office, "BadSignature", lambda: office.book.sign(statement.plain(), ""))
    nobody = statement.plain() | {"officer": "nobody"}
    refused(office, "UnknownOfficer", lambda: office.book.sign(nobody, forged))
    nothing = statement.plain() | {"request": "none"}
    refused(office, "NoSuchRequest", lambda: office.book.sign(nothing, forged))
    with pytest.raises(ServiceError, match="Not an officer's statement"):
        office.book.sign({"verdict": "maybe"}, forged)


def test_wrong_role(office):
    request = waits(office)
    refused(office, "WrongRole", lambda: office.say(request, "rob"))


def test_enough_is_enough(office):
    request = waits(office)
    office.say(request, "ann")
    office.say(request, "bob")
    refused(office, "EnoughSignatures", lambda: office.say(request, "eve"))


def test_a_suspended_officer(office):
    request = waits(office)
    office.officers.suspend("ann")
    assert office.trail.last() == ("SuspendOfficer", "")
    refused(office, "SuspendedOfficer", lambda: office.say(request, "ann"))
    refused(office, "SuspendedOfficer", lambda: office.say(request, "ann", Verdict.REJECT))


def test_who_is_suspended_after_they_signed_does_not_count(office):
    request = waits(office)
    office.say(request, "ann")
    office.say(request, "bob")
    office.officers.suspend("ann")
    assert waits(office) == request
    assert standing(office, request) is Standing.PENDING
    office.say(request, "eve")
    assert office.book.require(Kind.CLEARANCE_GRANT, GRANT, "operator") == request


def test_suspended_between_the_look_and_the_use(office, monkeypatch):
    request = waits(office)
    office.say(request, "ann")
    office.say(request, "bob")
    operator = office.trail.operator

    def slow(*args):
        with monkeypatch.context() as inner:
            inner.setattr(office.trail, "operator", operator)
            office.officers.suspend("bob")
        return operator(*args)

    with monkeypatch.context() as patched:
        patched.setattr(office.trail, "operator", slow)
        with pytest.raises(Refused, match="is pending"):
            office.book.require(Kind.CLEARANCE_GRANT, GRANT, "operator")
    assert standing(office, request) is Standing.PENDING


def test_a_rejection_is_final(office):
    request = waits(office)
    office.say(request, "ann")
    office.say(request, "rob", Verdict.REJECT, "not this week")
    assert standing(office, request) is Standing.REJECTED
    refused(office, "AlreadyRejected", lambda: office.say(request, "bob"))
    assert waits(office) != request


def test_a_key_is_kept_for_its_waiting_time_and_any_officer_may_still_say_no(office):
    action = {"keys": ["k"]}
    request = waits(office, Kind.KEY_DELETION, action)
    office.say(request, "bob")
    office.clock.advance(DAY_S)
    office.say(request, "eve")
    assert standing(office, request) is Standing.WAITING
    office.clock.advance(7 * DAY_S - 0.001)
    assert waits(office, Kind.KEY_DELETION, action) == request
    office.clock.advance(0.001)
    assert office.book.require(Kind.KEY_DELETION, action, "operator") == request
    request = waits(office, Kind.KEY_DELETION, action)
    for name in ("bob", "eve"):
        office.say(request, name)
    office.say(request, "rob", Verdict.REJECT)
    office.clock.advance(7 * DAY_S)
    assert waits(office, Kind.KEY_DELETION, action) != request


def test_a_deletion_with_a_window_of_its_own_does_not_wait_twice(office):
    for days, state in ((7, Standing.APPROVED), (6, Standing.WAITING)):
        request = waits(office, Kind.KEY_DELETION, {"key": "k", "pending_window_days": days})
        office.say(request, "bob")
        office.say(request, "eve")
        assert standing(office, request) is state


def test_too_late_to_wait(office):
    request = waits(office, Kind.KEY_DELETION, {"keys": ["k"]})
    office.say(request, "bob")
    office.clock.advance(7 * DAY_S)
    refused(office, "WaitsBeyondExpiry", lambda: office.say(request, "eve"))


def test_the_gate_takes_a_reviewer_downwards(office):
    office.enrol("rel", "releaser")
    office.enrol("rex", "releaser", "reviewer")
    bundle = {"bundle": "b", "direction": "up"}
    request = waits(office, Kind.TRANSFER_RELEASE, bundle)
    for name in ("rel", "rex"):
        office.say(request, name)
    assert office.book.require(Kind.TRANSFER_RELEASE, bundle, "operator") == request
    arrived = {"bundle": "b", "direction": "down", "deed": "ReleaseTransfer"}
    request = waits(office, Kind.TRANSFER_RELEASE, arrived)
    for name in ("rel", "rex"):
        office.say(request, name)
    assert standing(office, request) is Standing.APPROVED, "it was reviewed where it came from"
    for direction in ({}, {"direction": "down"}):
        request = waits(office, Kind.TRANSFER_RELEASE, {"bundle": "b"} | direction)
        office.say(request, "rex")
        office.say(request, "rel")
        assert standing(office, request) is Standing.PENDING
        office.say(request, "rob")
        assert standing(office, request) is Standing.APPROVED


def test_requests_are_bounded(office, monkeypatch):
    monkeypatch.setattr(approvals, "OPEN_MAX", 2)
    waits(office, action={"a": 1})
    waits(office, action={"a": 2})
    with pytest.raises(Unavailable):
        office.book.require(Kind.CLEARANCE_GRANT, {"a": 3}, "operator")
    office.clock.advance(8 * DAY_S)
    waits(office, action={"a": 3})
    assert len(office.book.listed(all_=False)) == 1
    assert len(office.book.listed(all_=True)) == 5


def test_an_agency_fills_the_book_for_nobody_else(office, monkeypatch):
    monkeypatch.setattr(approvals, "OPEN_MAX", 1)
    mallory = "arn:aws-us-gov:sts::210987654321:assumed-role/r/mallory"
    waits(office, requester=mallory)
    with pytest.raises(Unavailable):
        office.book.require(Kind.CLEARANCE_GRANT, {"a": 1}, f"{mallory}-again")
    waits(office, requester=CAROL)
    waits(office)
    with pytest.raises(Unavailable):
        office.book.require(Kind.CLEARANCE_GRANT, {"a": 1}, "officer/ann")


def test_break_glass_is_at_once_loud_and_open_until_countersigned(office, caplog):
    request = waits(office)
    refused(office, "WrongRole", lambda: office.say(request, "rob", Verdict.BREAK_GLASS, "fire"))
    refused(office, "NoReason", lambda: office.say(request, "ann", Verdict.BREAK_GLASS, " "))
    refused(office, "NoReason", lambda: office.say(request, "ann", Verdict.BREAK_GLASS, "x" * 501))
    office.say(request, "ann", Verdict.BREAK_GLASS, "fire in hall 2")
    assert office.trail.told[-1][0] == "BreakGlass"
    assert office.trail.told[-1][1]["reason"] == "fire in hall 2"
    assert "BREAK GLASS: ann" in caplog.text
    assert office.book.require(Kind.CLEARANCE_GRANT, GRANT, "operator") == request
    (left,) = office.book.open_glass()
    assert left.what["request"] == request
    assert left.what["reason"] == "fire in hall 2"
    refused(office, "SelfApproval", lambda: office.say(left.id, "ann"))
    office.say(left.id, "bob")
    assert office.book.open_glass() == []
    assert standing(office, left.id) is Standing.USED


@pytest.mark.parametrize("ends", ["late", "rejected"])
def test_glass_that_nobody_stood_for_is_open_for_ever(office, ends):
    request = waits(office)
    office.say(request, "ann", Verdict.BREAK_GLASS, "fire")
    (left,) = office.book.open_glass()
    if ends == "late":
        office.clock.advance(DAY_S)
        refused(office, "Expired", lambda: office.say(left.id, "bob"))
    else:
        office.say(left.id, "bob", Verdict.REJECT, "no fire")
        refused(office, "AlreadyRejected", lambda: office.say(left.id, "eve"))
    office.clock.advance(1000 * DAY_S)
    assert [one.id for one in office.book.open_glass()] == [left.id]


@pytest.mark.parametrize("kind", sorted(set(Kind) - Terms().glass - {Kind.BREAK_GLASS}))
def test_no_glass_for_what_is_not_listed(office, kind):
    office.enrol("all", "security-officer", "reviewer", "releaser", "key-custodian", "auditor")
    request = waits(office, kind)
    refused(office, "NoBreakGlass", lambda: office.say(request, "all", Verdict.BREAK_GLASS, "fire"))


def test_nobody_asks_for_broken_glass(office):
    with pytest.raises(AssertionError):
        office.book.request(Kind.BREAK_GLASS, {}, "operator")

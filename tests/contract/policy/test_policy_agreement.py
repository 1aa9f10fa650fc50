"""The second engine on what two persons do: it agrees where the rules are kept, and where those who
count signatures were wrong it does not."""

from dataclasses import replace

import pytest
from tests.cedar_kit import engine
from tests.labels_kit import CEILING
from tests.officers_kit import Office, Person

from bastide.kernel.approvals import Kind, canonical
from bastide.policy import two_persons
from bastide.policy.agreement import MODES, Agreement
from bastide.policy.approval_model import Refusal, Refused, Request, Role, Standing
from bastide.policy.questions import Verdict

AGREEMENT = Agreement(decider=engine(), ceiling=CEILING)
ACTION = {"change": "it"}


class Refusing:
    """An engine that finds something wrong."""

    def decide(self, question):
        return Verdict(False, ("two-person.approved",))


def asked(kind, requester="operator", action=ACTION):
    return Request(
        id="r", region="g", kind=kind, action=canonical(action), requester=requester, nonce="n",
        created_ms=0, expires_ms=5_500,
    )  # fmt: skip


def signers(kind, action=ACTION):
    """One officer for each role of the kind."""
    roles = two_persons.roles_for(kind, action)
    return [(role, Person(f"p{at}", (role,)).officer()) for at, role in enumerate(roles)]


def agrees(request, given, now_ms=5_499):
    return AGREEMENT.decider.decide(AGREEMENT.question(request, given, now_ms)).allowed


@pytest.mark.parametrize("kind", sorted(MODES))
def test_it_agrees_to_what_the_right_two_have_signed(kind):
    assert agrees(asked(kind), signers(kind))


def test_every_kind_is_asked_about():
    assert set(MODES) == set(Kind) - {Kind.BREAK_GLASS}


@pytest.mark.parametrize("up", [{"direction": "up"}, {"deed": "ReleaseTransfer"}])
def test_going_up_takes_no_reviewer_nor_does_what_arrived(up):
    assert agrees(asked(Kind.TRANSFER_RELEASE, action=up), signers(Kind.TRANSFER_RELEASE, up))


@pytest.mark.parametrize("kind", sorted(MODES))
@pytest.mark.parametrize("which", [0, -1])
def test_it_refuses_what_who_counts_should_not_have_let_through(kind, which):
    request, good = asked(kind), signers(kind)

    def with_one(role=None, **changes):
        given = list(good)
        old_role, officer = given[which]
        given[which] = (role or old_role, replace(officer, **changes))
        return given

    assert not agrees(request, with_one(suspended=True)), "a suspended officer"
    assert not agrees(asked(kind, f"officer/p{len(good) - 1 if which else 0}"), good), "their own"
    wrong = next(role for role in Role if role not in {each for each, _ in good})
    assert not agrees(request, with_one(role=wrong)), "in another role"
    twice = with_one(name=good[0 if which else -1][1].name)
    assert not agrees(request, twice), "one person twice"
    assert not agrees(request, good, now_ms=6_000), "after it has expired"


def test_who_asks_by_another_name_is_known():
    officer = Person("p0", (Role.SECURITY_OFFICER,), known_as=("arn:me",)).officer()
    good = signers(Kind.CLEARANCE_GRANT)
    assert not agrees(asked(Kind.CLEARANCE_GRANT, "arn:me"), [(good[0][0], officer), good[1]])


@pytest.fixture
def office(database):
    made = Office(database)
    for name in ("ann", "bob"):
        made.enrol(name, "security-officer")
    return made


def test_what_it_refuses_is_not_done_is_on_record_and_stays_approved(office):
    request = office.book.request(Kind.CLEARANCE_GRANT, ACTION, "operator")
    office.say(request, "ann")
    office.say(request, "bob")
    doubting = replace(office.book, agreement=Agreement(decider=Refusing(), ceiling=CEILING))
    done = []
    with pytest.raises(Refused, match=r"does not agree: two-person\.approved"):
        doubting.carry_out(Kind.CLEARANCE_GRANT, ACTION, "operator", done.append)
    assert done == []
    assert office.trail.last() == ("UseApproval", Refusal.ENGINE)
    officers = {each.name: each for each in office.officers.list()}
    assert office.book.standing(office.book.find(request), officers) is Standing.APPROVED
    office.book.carry_out(Kind.CLEARANCE_GRANT, ACTION, "operator", done.append)
    assert len(done) == 1


def test_nobody_is_asked_about_what_one_does_alone(office):
    """There is no second person: that officer answers for it (decision 0034)."""
    request = office.book.request(Kind.CLEARANCE_GRANT, ACTION, "operator")
    office.say(request, "ann", two_persons.Verdict.BREAK_GLASS, "fire")
    doubting = replace(office.book, agreement=Agreement(decider=Refusing(), ceiling=CEILING))
    assert doubting.require(Kind.CLEARANCE_GRANT, ACTION, "operator") == request

"""A write that knows what it touches: two engines, neither of which trusts the other."""

import itertools
from dataclasses import dataclass

import pytest
from tests.cedar_kit import second_engine
from tests.labels_kit import CEILING, US, at
from tests.policy_kit import ME, principal

from bastide.kernel.call import Duty
from bastide.policy.evaluator import Reason
from bastide.policy.walls import ASKED_AGAIN, MODES, Mode, Walls
from bastide.policy.writing import Writing

OBJECT = "arn:aws-us-gov:s3:::b/k"
MARKINGS = ("U", "CUI", "S", "S//SI", "S//TK", "S//SI/TK", "TS//SI/TK")
PUT = "s3:PutObject"


@dataclass
class Blind:
    """An engine that lets everything through."""

    def permits_altering(self, *asked):
        return True

    def altering(self, *asked):
        return None


WALLS, SECOND = Walls(ceiling=CEILING), second_engine()
BOTH = Writing(walls=WALLS, second=SECOND)
ENGINES = {
    "both": BOTH,
    "the walls alone": Writing(walls=WALLS, second=Blind()),
    "the second alone": Writing(walls=Blind(), second=SECOND),
}


def asked(writing, session, marking, *, is_new, who=None):
    who = who or principal(**at(session))
    return writing.permits(who, PUT, OBJECT, US.parse(marking), is_new=is_new)


@pytest.mark.parametrize("engines", ENGINES)
@pytest.mark.parametrize(("session", "marking"), list(itertools.product(MARKINGS, repeat=2)))
def test_new_things_go_upwards_and_a_change_stays_where_it_is(engines, session, marking):
    writing = ENGINES[engines]
    above = US.parse(marking).dominates(US.parse(session))
    assert asked(writing, session, marking, is_new=True) == above
    assert asked(writing, session, marking, is_new=False) == (session == marking)


def test_nothing_is_made_above_the_ceiling():
    low = US.clearance("S")
    for walls, second in ((Walls(ceiling=low), Blind()), (Blind(), second_engine(ceiling=low))):
        writing = Writing(walls=walls, second=second)
        assert asked(writing, "U", "S", is_new=True)
        assert not asked(writing, "U", "S//SI", is_new=True)


@pytest.mark.parametrize("engines", ENGINES)
def test_an_auditor_writes_nothing(engines):
    auditor = principal(duty=Duty.AUDITOR, **at("S"))
    assert not asked(ENGINES[engines], "S", "S", is_new=True, who=auditor)
    assert not asked(ENGINES[engines], "S", "S", is_new=False, who=auditor)


def test_an_agency_may_keep_all_that_it_has():
    """Its own policy tells what is put beside the old from what replaces it."""
    text = 'forbid (principal, action == Bastide::Action::"overwrite", resource);'
    second = second_engine({ME: [("keep", text)]})
    writing = Writing(walls=WALLS, second=second)
    assert asked(writing, "S", "S", is_new=True)
    assert not asked(writing, "S", "S", is_new=False)
    refused = second.altering(principal(**at("S")), PUT, OBJECT, US.parse("S"), Mode.CHANGE)
    assert refused is Reason.DENY_AGENCY


def test_what_is_asked_again_is_refused_by_no_name_that_is_taken():
    assert {MODES[action] for action in ASKED_AGAIN} == {Mode.MAKE}

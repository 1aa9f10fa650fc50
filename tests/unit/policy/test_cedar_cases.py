"""The mandatory policies, case by case. `test_a_gap_of_the_sketch…` are the seven ways in that the
first sketch of these policies left open."""

import pytest
from tests.cedar_cases import (
    CASES,
    CREATE,
    FLOWING,
    MANAGE,
    READ,
    S_CEILING,
    flows,
    released,
)
from tests.cedar_kit import (
    DHS,
    FBI,
    PAIRS,
    agreed,
    approval,
    ask,
    engine,
    person,
    thing,
)

from bastide.policy.questions import TWO_PERSON, Mode

ENGINE = engine()


@pytest.mark.parametrize(
    ("session", "marking", "modes"), [f[1:] for f in flows()], ids=[f[0] for f in flows()]
)
def test_how_data_flows(session, marking, modes):
    who = person(session=session, clearance="TS//SI/TK//P7//ORCON")
    found = {mode for mode in FLOWING if ENGINE.decide(ask(mode, who, thing(marking))).allowed}
    assert found == modes


@pytest.mark.parametrize(("question", "refusing"), CASES)
def test_case(question, refusing):
    verdict = ENGINE.decide(question)
    assert verdict.errors == ()
    assert verdict.allowed == (not refusing)
    assert not refusing or set(verdict.policies) == set(refusing)


def test_there_are_enough_cases_and_each_policy_refuses_one():
    assert len(CASES) + len(flows()) >= 51
    refusing = {name for each in CASES for name in each.values[1]} | {"mac.no-write-down"}
    mandatory = {n for n in ENGINE.slices.shipped.names if not n.startswith("common.")}
    assert refusing == mandatory


def refused_by(question):
    verdict = ENGINE.decide(question)
    assert not verdict.allowed
    return set(verdict.policies)


def test_a_gap_of_the_sketch_1_a_transfer_has_an_agency_and_a_label():
    bundle = thing("TS//SI", account=FBI, digest="sha256:aa", author="AIDAeve")
    low = person(session="U", account=DHS, roles=frozenset({"releaser"}))
    found = refused_by(released(low, bundle, approval=approval(role="releaser", account=DHS)))
    assert {"agency.isolation", "mac.no-read-up", "two-person.approver-is-fit"} <= found


def test_a_gap_of_the_sketch_2_names_and_tags_are_no_write_down():
    high = person(session="TS//SI")
    assert refused_by(ask(CREATE, high, thing("U"))) == {"mac.no-write-down"}
    assert refused_by(ask(MANAGE, high, thing("U"))) == {"mac.no-write-down"}


@pytest.mark.parametrize("kind", ["s3/bucket", "kms/key", "sagemaker/model"])
def test_a_gap_of_the_sketch_3_the_ceiling_is_over_everything(kind):
    what = thing("TS", kind=kind)
    assert refused_by(ask(CREATE, what=what, ceiling=S_CEILING)) == {"mac.resource-within-ceiling"}


def test_a_gap_of_the_sketch_4_a_session_claims_no_nation_beyond_its_clearance():
    """A session that is releasable to the British reads only what is: to write so leaks nothing."""
    claims = person(session="S//REL TO USA GBR", clearance="S")
    assert refused_by(ask(READ, claims, thing("S"))) == {"mac.no-read-up"}
    assert ENGINE.decide(ask(CREATE, claims, thing("S//REL TO USA GBR"))).allowed
    british = person(session="S", clearance="S//REL TO USA GBR")
    assert refused_by(ask(READ, british)) == {"mac.session-within-clearance"}


def test_a_gap_of_the_sketch_5_a_key_is_destroyed_at_its_label_with_a_key_custodian():
    high = thing("TS//SI", digest="sha256:aa")
    assert refused_by(agreed(Mode.DESTROY_KEY, what=high)) == {"mac.no-read-up"}
    low = thing("U", digest="sha256:aa")
    assert refused_by(agreed(Mode.DESTROY_KEY, what=low)) == {"mac.no-write-down"}
    anybody = approval(role="analyst")
    assert refused_by(agreed(Mode.DESTROY_KEY, approval=anybody)) == {"two-person.key-custodians"}


@pytest.mark.parametrize("mode", sorted(TWO_PERSON - {Mode.RELEASE}))
def test_a_gap_of_the_sketch_6_a_suspended_person_approves_nothing(mode):
    by = approval(role=PAIRS[mode][1], suspended=True)
    assert refused_by(agreed(mode, approval=by)) == {"two-person.approver-is-fit"}


def test_a_gap_of_the_sketch_7_no_action_turns_audit_off():
    """What ends is a log that was put away, at its own label, with an auditor's yes; no action
    is about what a log writes."""
    assert not any("disable" in mode.lower() for mode in Mode)
    assert ENGINE.decide(agreed(Mode.RETIRE_AUDIT)).allowed
    by = approval(role="key-custodian")
    assert refused_by(agreed(Mode.RETIRE_AUDIT, approval=by)) == {"two-person.retire-audit"}
    foreign = thing(account=DHS)
    assert "agency.isolation" in refused_by(agreed(Mode.RETIRE_AUDIT, what=foreign))

"""The mandatory policies, case by case. `test_a_gap_of_the_sketch…` are the seven ways in that the
first sketch of these policies left open."""

import pytest
from tests.cedar_kit import (
    DHS,
    FBI,
    OFFICERS,
    SCHEME,
    agreed,
    approval,
    ask,
    engine,
    label,
    person,
    thing,
)

from bastide.policy.questions import TWO_PERSON, Mode

ENGINE = engine()
READ, LIST, CREATE, APPEND = Mode.READ, Mode.LIST, Mode.CREATE, Mode.APPEND
OVERWRITE, MANAGE, EVIDENCE = Mode.OVERWRITE, Mode.MANAGE, Mode.EVIDENCE
S_CEILING = SCHEME.clearance("S//SI/TK//P7//ORCON")


def role(*names):
    return person(roles=frozenset(names))


def case(name, question, *refusing):
    """`refusing`: exactly the policies that say no; none where the answer is yes."""
    return pytest.param(question, refusing, id=name)


def flows():
    """Name, session, label, and in which of the modes it is allowed."""
    return [
        ("equal", "S", "S", {READ, LIST, CREATE, APPEND, OVERWRITE, MANAGE}),
        ("down a level", "TS", "S", {READ, LIST}),
        ("up a level", "S", "TS", {CREATE, APPEND}),
        ("one compartment less", "S//SI", "S", {READ, LIST}),
        ("one compartment more", "S", "S//SI", {CREATE, APPEND}),
        ("another compartment", "S//SI", "S//TK", set()),
        (
            "the programme is mine",
            "S//P7",
            "S//P7",
            {READ, LIST, CREATE, APPEND, OVERWRITE, MANAGE},
        ),
        ("need to know is lacking", "TS//SI", "S//P7", set()),
        ("higher level, compartment less", "TS", "S//SI", set()),
        ("a control is more", "S", "S//ORCON", {CREATE, APPEND}),
        ("released to more", "S", "S//REL TO USA GBR", {READ, LIST}),
        ("released to fewer", "S//REL TO USA GBR", "S", {CREATE, APPEND}),
        ("released to another", "S//REL TO USA GBR", "S//REL TO USA CAN", set()),
    ]


@pytest.mark.parametrize(
    ("session", "marking", "modes"), [f[1:] for f in flows()], ids=[f[0] for f in flows()]
)
def test_how_data_flows(session, marking, modes):
    who = person(session=session, clearance="TS//SI/TK//P7//ORCON")
    asked = {READ, LIST, CREATE, APPEND, OVERWRITE, MANAGE}
    found = {mode for mode in asked if ENGINE.decide(ask(mode, who, thing(marking))).allowed}
    assert found == modes


CASES = [
    case("session at clearance", ask(READ, person(session="TS//SI/TK"))),
    case(
        "session above clearance by level",
        ask(READ, person(session="S", clearance="C")),
        "mac.session-within-clearance",
    ),
    case(
        "session above clearance by compartment",
        ask(READ, person(session="S//SI", clearance="TS")),
        "mac.session-within-clearance",
    ),
    case(
        "an American's session under a clearance for the British",
        ask(READ, person(clearance="S//REL TO USA GBR")),
        "mac.session-within-clearance",
    ),
    case(
        "a resource above the ceiling by level",
        ask(CREATE, what=thing("TS"), ceiling=S_CEILING),
        "mac.resource-within-ceiling",
    ),
    case(
        "a resource above the ceiling by compartment",
        ask(CREATE, what=thing("S//SI"), ceiling=SCHEME.clearance("S")),
        "mac.resource-within-ceiling",
    ),
    case(
        "a resource above the ceiling by nations",
        ask(CREATE, ceiling=label("S//REL TO USA GBR"), who=person(session="U")),
        "mac.resource-within-ceiling",
    ),
    case("a resource at the ceiling", ask(READ, ceiling=SCHEME.clearance("S"))),
    case(
        "a session above the ceiling",
        ask(READ, person(session="TS"), ceiling=S_CEILING),
        "mac.session-within-ceiling",
    ),
    case("another agency's", ask(READ, what=thing(account=DHS)), "agency.isolation"),
    case("another agency's, low", ask(READ, what=thing("U", DHS)), "agency.isolation"),
    case(
        "another agency's, with that agency's role",
        ask(READ, role(f"{DHS}/analyst"), thing(account=DHS)),
        "agency.isolation",
    ),
    case("shared", ask(READ, what=thing(account=DHS, shared_with=frozenset({FBI})))),
    case("shared, listed", ask(LIST, what=thing(account=DHS, shared_with=frozenset({FBI})))),
    case(
        "shared with others",
        ask(READ, what=thing(account=DHS, shared_with=frozenset({"9" * 12}))),
        "agency.isolation",
    ),
    case(
        "shared is still not read up",
        ask(READ, what=thing("TS", DHS, shared_with=frozenset({FBI}))),
        "mac.no-read-up",
    ),
    *(
        case(
            f"shared is read only: {mode}",
            ask(mode, what=thing(account=DHS, shared_with=frozenset({FBI}))),
            "agency.isolation",
        )
        for mode in (CREATE, APPEND, OVERWRITE, MANAGE)
    ),
    *(
        case(
            f"an operator does not {mode} content",
            ask(mode, role("operator")),
            "duty.operators-never-touch-content",
        )
        for mode in (READ, LIST, CREATE, APPEND, OVERWRITE)
    ),
    case("an operator manages", ask(MANAGE, role("operator"))),
    case("an auditor reads evidence", ask(EVIDENCE, role("auditor"))),
    case(
        "an auditor reads no evidence above the session",
        ask(EVIDENCE, role("auditor"), thing("TS")),
        "mac.no-read-up",
    ),
    *(
        case(
            f"an auditor does not {mode}", ask(mode, role("auditor")), "duty.auditors-only-evidence"
        )
        for mode in (READ, LIST, CREATE, APPEND, OVERWRITE, MANAGE)
    ),
    case("evidence for all", ask(EVIDENCE), "duty.evidence-for-auditors"),
    case("suspended", ask(READ, person(suspended=True)), "account.suspended"),
    *(case(f"agreed: {mode}", agreed(mode)) for mode in sorted(TWO_PERSON - {Mode.RELEASE})),
    *(
        case(
            f"{mode} takes an officer of its own",
            agreed(mode, approval=approval(role="nobody")),
            f"two-person.{OFFICERS[mode]}",
        )
        for mode in sorted(TWO_PERSON - {Mode.RELEASE})
    ),
    case(
        "alone",
        ask(Mode.BREAK_GLASS, digest="sha256:aa"),
        "two-person.approved",
        "two-person.approver-is-fit",
        "two-person.security-officer",
    ),
    case(
        "approved by oneself",
        agreed(Mode.BREAK_GLASS, role("security-officer"), approval=approval("ann")),
        "two-person.approved",
    ),
    case(
        "approved for another digest",
        agreed(Mode.BREAK_GLASS, approval=approval(digest="sha256:bb")),
        "two-person.approved",
    ),
    case(
        "no digest",
        agreed(Mode.BREAK_GLASS, digest=None),
        "two-person.approved",
    ),
    case(
        "an approval that ended",
        agreed(Mode.BREAK_GLASS, approval=approval(expires_s=999)),
        "two-person.approved",
    ),
    case(
        "an approval that ends exactly now",
        agreed(Mode.BREAK_GLASS, approval=approval(expires_s=1_000)),
        "two-person.approved",
    ),
    case(
        "an approval that ends in a second",
        agreed(Mode.BREAK_GLASS, approval=approval(expires_s=1_001)),
    ),
    case(
        "an approver without the clearance",
        agreed(Mode.BREAK_GLASS, approval=approval(clearance="C")),
        "two-person.approver-is-fit",
    ),
    case(
        "an approver of another agency",
        agreed(Mode.BREAK_GLASS, approval=approval(account=DHS)),
        "two-person.approver-is-fit",
    ),
]
RELEASER = role("releaser")


def released(who=RELEASER, what=None, **more):
    given = {"approval": approval(role="releaser")}
    what = what or thing(digest="sha256:aa", author="AIDAeve")
    return agreed(Mode.RELEASE, who, what, **given | more)


def down(second, what=None):
    what = what or thing(digest="sha256:aa", author="AIDAeve", down=True)
    return released(what=what, second=second)


CASES += [
    case("released up by two", released()),
    case("released by who is no releaser", released(role()), "release.two-releasers"),
    case(
        "released by its author",
        released(what=thing(digest="sha256:aa", author="AIDAann")),
        "release.two-releasers",
    ),
    case(
        "approved by its author",
        released(what=thing(digest="sha256:aa", author="AIDAbob")),
        "release.two-releasers",
    ),
    case("approved by no releaser", released(approval=approval()), "release.two-releasers"),
    case(
        "another bundle than was approved",
        released(what=thing(digest="sha256:bb", author="AIDAeve")),
        "release.two-releasers",
    ),
    case("released down, reviewed", down(approval("cy", "reviewer"))),
    case(
        "released down, not reviewed",
        down(None),
        "release.down-is-reviewed",
        "release.reviewer-is-fit",
    ),
    case("reviewed by no reviewer", down(approval("cy", "releaser")), "release.down-is-reviewed"),
    case("reviewed by the releaser", down(approval("ann", "reviewer")), "release.down-is-reviewed"),
    case("reviewed by the approver", down(approval("bob", "reviewer")), "release.down-is-reviewed"),
    case("reviewed by the author", down(approval("eve", "reviewer")), "release.down-is-reviewed"),
    case(
        "reviewed for another digest",
        down(approval("cy", "reviewer", digest="sha256:bb")),
        "release.down-is-reviewed",
    ),
    case(
        "a review that ends exactly now",
        down(approval("cy", "reviewer", expires_s=1_000)),
        "release.down-is-reviewed",
    ),
    case(
        "a reviewer without the clearance",
        down(approval("cy", "reviewer", clearance="C")),
        "release.reviewer-is-fit",
    ),
    case(
        "a reviewer of another agency",
        down(approval("cy", "reviewer", account=DHS)),
        "release.reviewer-is-fit",
    ),
    case(
        "a suspended reviewer",
        down(approval("cy", "reviewer", suspended=True)),
        "release.reviewer-is-fit",
    ),
]


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


def test_a_gap_of_the_sketch_5_a_key_is_destroyed_at_its_label_with_a_crypto_officer():
    high = thing("TS//SI", digest="sha256:aa")
    assert refused_by(agreed(Mode.DESTROY_KEY, what=high)) == {"mac.no-read-up"}
    low = thing("U", digest="sha256:aa")
    assert refused_by(agreed(Mode.DESTROY_KEY, what=low)) == {"mac.no-write-down"}
    anybody = approval(role="analyst")
    assert refused_by(agreed(Mode.DESTROY_KEY, approval=anybody)) == {"two-person.crypto-officer"}


@pytest.mark.parametrize("mode", sorted(TWO_PERSON - {Mode.RELEASE}))
def test_a_gap_of_the_sketch_6_a_suspended_person_approves_nothing(mode):
    by = approval(role=OFFICERS[mode], suspended=True)
    assert refused_by(agreed(mode, approval=by)) == {"two-person.approver-is-fit"}


def test_a_gap_of_the_sketch_7_no_action_turns_audit_off():
    """What ends is a log that was put away, at its own label, with an auditor's yes; no action
    is about what a log writes."""
    assert not any("disable" in mode.lower() for mode in Mode)
    assert ENGINE.decide(agreed(Mode.RETIRE_AUDIT)).allowed
    by = approval(role="crypto-officer")
    assert refused_by(agreed(Mode.RETIRE_AUDIT, approval=by)) == {"two-person.auditor"}
    foreign = thing(account=DHS)
    assert "agency.isolation" in refused_by(agreed(Mode.RETIRE_AUDIT, what=foreign))

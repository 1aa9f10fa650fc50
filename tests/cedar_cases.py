"""The mandatory policies' cases: questions, and which policies refuse them."""

from dataclasses import replace

import pytest

from bastide.policy.questions import TWO_PERSON, Mode
from tests.cedar_kit import (
    DHS,
    FBI,
    SCHEME,
    agreed,
    approval,
    ask,
    label,
    person,
    thing,
)

READ, LIST, CREATE, APPEND = Mode.READ, Mode.LIST, Mode.CREATE, Mode.APPEND
OVERWRITE, MANAGE, EVIDENCE = Mode.OVERWRITE, Mode.MANAGE, Mode.EVIDENCE
FLOWING = (READ, LIST, CREATE, APPEND, OVERWRITE, MANAGE)
TO_GBR = "S//REL TO USA GBR"
FILE = thing(delivered=True)
S_CEILING = SCHEME.clearance("S//SI/TK//P7//ORCON")


RULES = {
    Mode.DOWNGRADE: "downgrade",
    Mode.LOOSEN_GUARDRAIL: "loosen-guardrail",
    Mode.GRANT_CLEARANCE: "security-officers",
    Mode.CHANGE_TRUST_ANCHOR: "security-officers",
    Mode.HAND_OUT_KEYS: "security-officers",
    Mode.REVIEW_TRANSFER: "review-transfer",
    Mode.DESTROY_KEY: "key-custodians",
    Mode.RETIRE_AUDIT: "retire-audit",
}


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
        ("released to more", "S", TO_GBR, {READ, LIST}),
        ("released to fewer", TO_GBR, "S", {CREATE, APPEND}),
        ("released to another", TO_GBR, "S//REL TO USA CAN", set()),
    ]


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
        ask(READ, person(clearance=TO_GBR)),
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
        ask(CREATE, ceiling=label(TO_GBR), who=person(session="U")),
        "mac.resource-within-ceiling",
    ),
    case("a resource at the ceiling", ask(READ, ceiling=SCHEME.clearance("S"))),
    case(
        "a session above the ceiling",
        ask(READ, person(session="TS"), ceiling=S_CEILING),
        "mac.session-within-ceiling",
    ),
    case(
        "a session above the ceiling by compartment",
        ask(READ, person(session="S//SI"), ceiling=SCHEME.clearance("S")),
        "mac.session-within-ceiling",
    ),
    case(
        "a session within the ceiling, and a clearance above it",
        ask(READ, person(session=TO_GBR), thing(TO_GBR), ceiling=label(TO_GBR)),
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
    *(
        case(f"an auditor does {mode} what a trail delivered", ask(mode, role("auditor"), FILE))
        for mode in (READ, LIST)
    ),
    *(
        case(
            f"an auditor does not {mode} where a trail delivers",
            ask(mode, role("auditor"), FILE),
            "duty.auditors-only-evidence",
        )
        for mode in (CREATE, APPEND, OVERWRITE, MANAGE)
    ),
    case(
        "an auditor reads no file above the session",
        ask(READ, role("auditor"), thing("TS", delivered=True)),
        "mac.no-read-up",
    ),
    case(
        "an auditor reads no file that another agency shares",
        ask(
            READ,
            role("auditor"),
            thing(account=DHS, shared_with=frozenset({FBI}), delivered=True),
        ),
        "duty.auditors-only-evidence",
    ),
    case("evidence is for all of an agency", ask(EVIDENCE)),
    case(
        "evidence is not shared",
        ask(EVIDENCE, what=thing(account=DHS, shared_with=frozenset({FBI}))),
        "agency.isolation",
    ),
    case("an operator reads evidence", ask(EVIDENCE, role("operator"))),
    case("suspended", ask(READ, person(suspended=True)), "account.suspended"),
    *(case(f"agreed: {mode}", agreed(mode)) for mode in sorted(TWO_PERSON - {Mode.RELEASE})),
    *(
        case(
            f"{mode} takes an officer of its own: {which}",
            agreed(
                mode,
                **{"approval": approval(role="nobody")} if which == "other" else {"who": role()},
            ),
            f"two-person.{RULES[mode]}",
        )
        for mode in sorted(RULES)
        for which in ("lead", "other")
    ),
    case(
        "asked for by who signs first",
        agreed(Mode.GRANT_CLEARANCE, requester="AIDAann"),
        "two-person.approved",
    ),
    case(
        "asked for by who signs after",
        agreed(Mode.GRANT_CLEARANCE, requester="AIDAbob"),
        "two-person.approved",
    ),
    case("asked for by nobody", agreed(Mode.GRANT_CLEARANCE, requester=""), "two-person.approved"),
    case(
        "alone",
        ask(
            Mode.GRANT_CLEARANCE, role("security-officer"), digest="sha256:aa", requester="operator"
        ),
        "two-person.approved",
        "two-person.approver-is-fit",
        "two-person.security-officers",
    ),
    case(
        "approved by oneself",
        agreed(Mode.GRANT_CLEARANCE, role("security-officer"), approval=approval("ann")),
        "two-person.approved",
    ),
    case(
        "approved for another digest",
        agreed(Mode.GRANT_CLEARANCE, approval=approval(digest="sha256:bb")),
        "two-person.approved",
    ),
    case(
        "no digest",
        agreed(Mode.GRANT_CLEARANCE, digest=None),
        "two-person.approved",
    ),
    case(
        "an approval that ended",
        agreed(Mode.GRANT_CLEARANCE, approval=approval(expires_s=999)),
        "two-person.approved",
    ),
    case(
        "an approval that ends exactly now",
        agreed(Mode.GRANT_CLEARANCE, approval=approval(expires_s=1_000)),
        "two-person.approved",
    ),
    case(
        "an approval that ends in a second",
        agreed(Mode.GRANT_CLEARANCE, approval=approval(expires_s=1_001)),
    ),
    case(
        "an approver without the clearance",
        agreed(Mode.GRANT_CLEARANCE, approval=approval(clearance="C")),
        "two-person.approver-is-fit",
    ),
    case(
        "a suspended approver",
        agreed(Mode.GRANT_CLEARANCE, approval=approval(suspended=True)),
        "two-person.approver-is-fit",
    ),
    case(
        "an approver of another agency",
        agreed(Mode.GRANT_CLEARANCE, approval=approval(account=DHS)),
        "two-person.approver-is-fit",
    ),
]
RELEASER = role("releaser", "reviewer", "security-officer")


def released(who=RELEASER, what=None, **more):
    given = {"approval": approval(role="releaser")}
    what = what or thing(digest="sha256:aa", author="AIDAeve")
    return agreed(Mode.RELEASE, who, what, **given | more)


def bundle(marking="S"):
    return thing(marking, digest="sha256:aa", author="AIDAeve", down=True)


SECRET_SI, SECRET_SI_TK = bundle("S//SI"), bundle("S//SI/TK")
AT_SI = person(session="S//SI", roles=RELEASER.roles)
AT_SI_TK = person(session="S//SI/TK", roles=RELEASER.roles)


def down(second, what=None, **more):
    """The releaser works at the bundle's label, as does who approves."""
    what = what or bundle()
    who = replace(RELEASER, session=what.label)
    return released(who, what, second=second, **more)


CASES += [
    case("released up by two", released()),
    case("released by who is no releaser", released(role()), "release.two-releasers"),
    case("released by a reviewer", released(role("reviewer")), "release.two-releasers"),
    case("released by who is a releaser only", released(role("releaser"))),
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
    case(
        "approved by no releaser",
        released(approval=approval(role="reviewer")),
        "release.two-releasers",
    ),
    case(
        "another bundle than was approved",
        released(what=thing(digest="sha256:bb", author="AIDAeve")),
        "release.two-releasers",
    ),
    case(
        "a reviewer who may see what the British may",
        down(approval("cy", "reviewer", clearance=TO_GBR), bundle(TO_GBR)),
    ),
    case("released down, reviewed", down(approval("cy", "reviewer"))),
    case(
        "released down, not reviewed",
        down(None),
        "release.down-is-reviewed",
        "release.reviewer-is-fit",
    ),
    *(
        case(f"{what}: {name}", question)
        for name, changes in {
            "cleared no further": {"clearance": "S//SI"},
            "at a lower session": {"session": "U"},
        }.items()
        for what, question in {
            "a reviewer": down(approval("cy", "reviewer", **changes), SECRET_SI),
            "an approver": agreed(
                Mode.GRANT_CLEARANCE, AT_SI, SECRET_SI, approval=approval(**changes)
            ),
        }.items()
    ),
    *(
        case(f"{what}: {name}", question, policy)
        for name, changes in {
            "one compartment of two": {"clearance": "S//SI"},
            "the level is lower": {"clearance": "C//SI/TK"},
            "another nation's": {"clearance": "S//SI/TK//REL TO USA GBR"},
        }.items()
        for what, question, policy in (
            (
                "a reviewer",
                down(approval("cy", "reviewer", **changes), SECRET_SI_TK),
                "release.reviewer-is-fit",
            ),
            (
                "an approver",
                agreed(Mode.GRANT_CLEARANCE, AT_SI_TK, SECRET_SI_TK, approval=approval(**changes)),
                "two-person.approver-is-fit",
            ),
        )
    ),
    case("reviewed by no reviewer", down(approval("cy", "releaser")), "release.down-is-reviewed"),
    case("reviewed by the releaser", down(approval("ann", "reviewer")), "release.down-is-reviewed"),
    case(
        "reviewed by the approver",
        down(approval(role="reviewer"), approval=approval(role="releaser reviewer")),
        "release.down-is-reviewed",
    ),
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

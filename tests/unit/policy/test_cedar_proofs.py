"""The mandatory policies proved: their JSON form read into Z3, over all people, resources, labels.

`Free` is the most that any permit could give: that no mandatory policy forbids. A theorem says
what must hold then; a planted falsehood must be refuted, or the prover proves anything.
"""

import json

import pytest
import z3
from cedarpy import policies_to_json_str
from tests.cedar_proof import Prover

from bastide.policy.cedar.slices import shipped

MANDATORY = json.loads(policies_to_json_str(shipped("mandatory.cedar")))["staticPolicies"]
P = Prover(MANDATORY.values())
WHO, WHAT, ASKED = P.principal, P.resource, P.context
SESSION, CLEARANCE = WHO["session"], WHO["clearance"]
LABEL, CEILING = WHAT["label"], ASKED["ceiling"]
FIRST, SECOND = ASKED["approval"], ASKED["second"]
ASKER = ASKED["requester"]
READS = P.does("read", "list", "evidence")
WRITES = P.does("create", "append", "overwrite")
CONTENT = P.does("read", "list", "create", "append", "overwrite")
TWO = P.does(*P.in_group("twoPerson"))
RELEASE = P.does("release")
SAME_AGENCY = WHO["agency"].term == WHAT["agency"].term
SHARED = z3.IsMember(WHO["agency"].term, WHAT["sharedWith"].term)
LEADS = {
    "security-officer": (
        "grantClearance",
        "changeTrustAnchor",
        "handOutKeys",
        "loosenGuardrail",
        "retireAudit",
    ),
    "reviewer": ("downgrade", "reviewTransfer"),
    "key-custodian": ("destroyKey",),
    "releaser": ("release",),
}
OFFICERS = {
    "security-officer": ("grantClearance", "changeTrustAnchor", "handOutKeys", "reviewTransfer"),
    "key-custodian": ("destroyKey",),
    "auditor": ("retireAudit",),
    "reviewer": ("loosenGuardrail",),
    "releaser": ("release", "downgrade"),
}


def over(one, other):
    return z3.And(
        one["level"].term >= other["level"].term,
        z3.IsSubset(other["categories"].term, one["categories"].term),
        z3.IsSubset(other["withheld"].term, one["withheld"].term),
    )


def equal(one, other):
    return z3.And(over(one, other), over(other, one))


def fit(by):
    agency = by["agency"].term == WHAT["agency"].term
    return z3.And(z3.Not(by["suspended"].term), agency, over(by["clearance"], LABEL))


THEOREMS = {
    # The nine of the first sketch.
    "no read up": z3.Implies(READS, over(SESSION, LABEL)),
    "what is read is within the clearance": z3.Implies(READS, over(CLEARANCE, LABEL)),
    "no write down": z3.Implies(WRITES, over(LABEL, SESSION)),
    "overwrite only at one label": z3.Implies(P.does("overwrite"), equal(LABEL, SESSION)),
    "nothing of another agency's is changed": z3.Implies(z3.Not(READS), SAME_AGENCY),
    "another agency's is read only if shared": z3.Implies(
        z3.And(READS, z3.Not(SAME_AGENCY)), z3.And(SHARED, P.does("read", "list"))
    ),
    "operators never touch content": z3.Implies(CONTENT, z3.Not(P.has_role(WHO, "operator"))),
    "two people are two": z3.Implies(TWO, FIRST["by"].term != WHO.term),
    "no author releases": z3.Implies(
        RELEASE, z3.And(WHO.term != WHAT["author"].term, FIRST["by"].term != WHAT["author"].term)
    ),
    # The seven gaps.
    "1: a transfer is released in its agency": z3.Implies(
        RELEASE, z3.And(SAME_AGENCY, FIRST["by"]["agency"].term == WHAT["agency"].term)
    ),
    "1: a transfer is released at its label": z3.Implies(RELEASE, equal(SESSION, LABEL)),
    "2: names and tags at one label": z3.Implies(P.does("manage"), equal(SESSION, LABEL)),
    "2: what is made is no write down": z3.Implies(P.does("create"), over(LABEL, SESSION)),
    "3: nothing is above the ceiling": z3.And(over(CEILING, LABEL), over(CEILING, SESSION)),
    "4: no session beyond its clearance": over(CLEARANCE, SESSION),
    "4: what is withheld from a nation stays so": z3.Implies(
        READS, z3.IsSubset(LABEL["withheld"].term, SESSION["withheld"].term)
    ),
    "5: a key is destroyed at its label": z3.Implies(P.does("destroyKey"), equal(SESSION, LABEL)),
    "5 and 6: an approver is fit": z3.Implies(TWO, fit(FIRST["by"])),
    **{
        f"5: {', '.join(actions)} by a {role}": z3.Implies(
            P.does(*actions), P.has_role(FIRST["by"], role)
        )
        for role, actions in OFFICERS.items()
    },
    **{
        f"5: {', '.join(actions)} with a {role}": z3.Implies(
            P.does(*actions), P.has_role(WHO, role)
        )
        for role, actions in LEADS.items()
    },
    "nobody agrees to what they ask for": z3.Implies(
        TWO, z3.And(ASKER.term != WHO.term, ASKER.term != FIRST["by"].term)
    ),
    "6: who is suspended does nothing": z3.Not(WHO["suspended"].term),
    "7: a log is retired with an auditor, in its agency": z3.Implies(
        P.does("retireAudit"), z3.And(SAME_AGENCY, P.has_role(FIRST["by"], "auditor"))
    ),
    # And more.
    "an approval is for this, and holds": z3.Implies(
        TWO,
        z3.And(
            FIRST["digest"].term == ASKED["digest"].term,
            FIRST["expires"].term > ASKED["now"].term,
        ),
    ),
    "what goes down has three people": z3.Implies(
        z3.And(RELEASE, WHAT["down"].term),
        z3.And(
            z3.Distinct(WHO.term, FIRST["by"].term, SECOND["by"].term, WHAT["author"].term),
            P.has_role(SECOND["by"], "reviewer"),
            fit(SECOND["by"]),
            SECOND["digest"].term == ASKED["digest"].term,
            SECOND["expires"].term > ASKED["now"].term,
        ),
    ),
    "the bytes released are those approved": z3.Implies(
        RELEASE, ASKED["digest"].term == WHAT["digest"].term
    ),
    "auditors do nothing but read evidence": z3.Implies(
        P.has_role(WHO, "auditor"),
        z3.Or(P.does("evidence"), z3.And(P.does("read", "list"), WHAT["delivered"].term)),
    ),
    "auditors read nothing of another agency's": z3.Implies(
        P.has_role(WHO, "auditor"), SAME_AGENCY
    ),
}
FALSEHOODS = {
    "what is read is at the session's level": z3.Implies(
        READS, SESSION["level"].term == LABEL["level"].term
    ),
    "what is appended is at one label": z3.Implies(P.does("append"), equal(SESSION, LABEL)),
    "nothing is shared": SAME_AGENCY,
    "evidence is for auditors": z3.Implies(P.does("evidence"), P.has_role(WHO, "auditor")),
    "auditors read no object": z3.Implies(P.has_role(WHO, "auditor"), P.does("evidence")),
    "operators do nothing": z3.Not(P.has_role(WHO, "operator")),
    "an approver works at the label": z3.Implies(TWO, over(FIRST["by"]["session"], LABEL)),
    "an approver is no releaser": z3.Implies(TWO, z3.Not(P.has_role(FIRST["by"], "releaser"))),
    "what goes up is reviewed": z3.Implies(RELEASE, P.has_role(SECOND["by"], "reviewer")),
    "nobody does anything": z3.BoolVal(False),
}


@pytest.mark.parametrize("theorem", THEOREMS)
def test_proved(theorem):
    assert P.refuted(THEOREMS[theorem]) is None


@pytest.mark.parametrize("falsehood", FALSEHOODS)
def test_a_planted_falsehood_is_refuted(falsehood):
    assert P.refuted(FALSEHOODS[falsehood]) is not None


@pytest.mark.parametrize("mode", sorted(P.actions))
def test_each_action_can_happen(mode):
    """A policy that forbids everything would prove everything."""
    assert P.refuted(z3.Not(P.does(mode))) is not None


@pytest.mark.parametrize("name", [each["annotations"]["id"] for each in MANDATORY.values()])
def test_each_policy_is_needed_by_a_theorem(name):
    rest = [each for each in MANDATORY.values() if each["annotations"]["id"] != name]
    assert Prover(rest).refuted(z3.And(list(THEOREMS.values()))) is not None

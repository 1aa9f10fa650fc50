"""The rules of two persons against a small model that is written from the words of decision 0033:
whatever officers sign, in whatever order, and whenever they are suspended."""

from dataclasses import dataclass, field, replace

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.officers_kit import Person

from bastide.kernel.approvals import Kind, canonical
from bastide.kernel.statements import Verdict, sign
from bastide.policy import two_persons
from bastide.policy.approval_model import (
    DAY_MS,
    HOUR_MS,
    Refused,
    Request,
    Role,
    Standing,
    Terms,
)

R = Role
TERMS = Terms(valid_ms=3 * DAY_MS, key_wait_ms=DAY_MS)
PEOPLE = {
    one.name: one
    for one in (
        Person("ann", (R.SECURITY_OFFICER, R.KEY_CUSTODIAN)),
        Person("bob", (R.SECURITY_OFFICER, R.REVIEWER), known_as=("arn:bob",)),
        Person("cat", (R.RELEASER, R.REVIEWER, R.KEY_CUSTODIAN)),
        Person("dan", (R.RELEASER,)),
        Person("eve", (R.KEY_CUSTODIAN, R.RELEASER, R.SECURITY_OFFICER)),
    )
}
SLOTS = {
    Kind.TRANSFER_RELEASE: [R.REVIEWER, R.RELEASER, R.RELEASER],
    Kind.KEY_DELETION: [R.KEY_CUSTODIAN, R.KEY_CUSTODIAN],
    Kind.AGENCY_SHARE: [R.SECURITY_OFFICER, R.SECURITY_OFFICER],
    Kind.CLEARANCE_GRANT: [R.SECURITY_OFFICER, R.SECURITY_OFFICER],
    Kind.DOWNGRADE: [R.REVIEWER, R.RELEASER],
}
REQUESTERS = ("operator", "arn:bob", "officer/ann", "officer/cat")
CHANGES = {
    "region": "us-iso-east-1", "request": "r-2", "kind": "audit-retirement", "digest": "00" * 32,
    "requester": "nobody", "expires_ms": 1, "wait_ms": 1, "nonce": "x",
}  # fmt: skip
names = st.sampled_from(sorted(PEOPLE))


@dataclass
class Model:
    """What the words say, with plain sets."""

    kind: Kind
    requester: str
    expires: int
    wait: int
    now: int = 0
    suspended: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    approved: dict[str, int] = field(default_factory=dict)
    glass: set[str] = field(default_factory=set)
    ended: str = ""

    def is_requester(self, name):
        return self.requester in (f"officer/{name}", *PEOPLE[name].known_as)

    def stands_for_it(self):
        named = self.requester.startswith("officer/")
        return not named or bool(self.asked - self.suspended)

    def filled(self, names, slots=None):
        """How many slots these persons can fill at most, each one."""
        slots = SLOTS[self.kind] if slots is None else slots
        if not names:
            return 0
        first, *rest = sorted(names)
        best = self.filled(rest, slots)
        for at, role in enumerate(slots):
            if role in PEOPLE[first].roles:
                best = max(best, 1 + self.filled(rest, slots[:at] + slots[at + 1 :]))
        return best

    def standing(self):
        if self.ended:
            return self.ended
        if self.now >= self.expires:
            return "expired"
        if self.glass - self.suspended:
            return "approved"
        if not self.stands_for_it():
            return "unsigned"
        counted = set(self.approved) - self.suspended
        if self.filled(counted) < len(SLOTS[self.kind]):
            return "pending"
        last = max(self.approved[name] for name in counted)
        return "approved" if self.now >= last + self.wait else "waiting"

    def may(self, name, verdict):
        if name in self.suspended or self.ended or self.now >= self.expires:
            return False
        counted = set(self.approved) - self.suspended
        match verdict:
            case Verdict.REJECT:
                return True
            case Verdict.ASK:
                return self.requester == f"officer/{name}" and name not in self.asked
            case Verdict.APPROVE:
                return (
                    not self.is_requester(name)
                    and self.stands_for_it()
                    and name not in self.approved
                    and self.filled(counted | {name}) > self.filled(counted)
                    and self.now + self.wait < self.expires
                )
            case Verdict.BREAK_GLASS:
                return (
                    self.kind in TERMS.glass
                    and bool(set(PEOPLE[name].roles) & set(SLOTS[self.kind]))
                    and name not in self.glass
                    and (self.stands_for_it() or self.is_requester(name))
                )


class TwoPersons(RuleBasedStateMachine):
    @initialize(kind=st.sampled_from(sorted(SLOTS)), requester=st.sampled_from(REQUESTERS))
    def ask(self, kind, requester):
        wait = DAY_MS if kind is Kind.KEY_DELETION else 0
        self.request = Request(
            id="r-1", region="us-gov-west-1", kind=kind, action=canonical({"what": "x"}),
            requester=requester, nonce="n", created_ms=0, expires_ms=3 * DAY_MS + wait,
            wait_ms=wait,
        )  # fmt: skip
        self.model = Model(kind, requester, self.request.expires_ms, wait)
        self.officers = {name: one.officer() for name, one in PEOPLE.items()}

    @rule(hours=st.sampled_from((1, 12, 23, 24, 72)))
    def later(self, hours):
        self.model.now += hours * HOUR_MS

    @rule(name=names)
    def suspend_or_reinstate(self, name):
        self.model.suspended ^= {name}
        gone = name in self.model.suspended
        self.officers[name] = replace(self.officers[name], suspended=gone)

    @rule(name=names, verdict=st.sampled_from([Verdict.APPROVE] * 6 + list(Verdict)))
    def says(self, name, verdict):
        statement, signature = PEOPLE[name].says(self.request, verdict, "why")
        before, model = self.request, self.model
        try:
            self.request = self.signed(statement, signature)
        except Refused:
            assert not model.may(name, verdict)
            assert self.request == before
            return
        assert model.may(name, verdict)
        match verdict:
            case Verdict.REJECT:
                model.ended = "rejected"
            case Verdict.ASK:
                model.asked.add(name)
            case Verdict.APPROVE:
                model.approved[name] = model.now
            case Verdict.BREAK_GLASS:
                model.glass.add(name)

    @rule(name=names, verdict=st.sampled_from(Verdict), change=st.sampled_from(sorted(CHANGES)))
    def says_something_else(self, name, verdict, change):
        """Well signed, but about another region, request or action."""
        statement, _ = PEOPLE[name].says(self.request, verdict, "why")
        statement = msgspec.structs.replace(statement, **{change: CHANGES[change]})
        with pytest.raises(Refused):
            self.signed(statement, sign(statement, PEOPLE[name].key))

    @rule(name=names, other=names, verdict=st.sampled_from(Verdict))
    def forges(self, name, other, verdict):
        if name != other:
            statement, _ = PEOPLE[name].says(self.request, verdict, "why")
            with pytest.raises(Refused):
                self.signed(statement, sign(statement, PEOPLE[other].key))

    @rule()
    def use(self):
        approved = self.model.standing() == "approved"
        try:
            self.request = two_persons.used(self.request, self.officers, self.model.now)
        except Refused:
            assert not approved
            return
        assert approved
        self.model.ended = "used"

    @invariant()
    def stands_as_the_model_says(self):
        if hasattr(self, "request"):
            found = two_persons.standing(self.request, self.officers, self.model.now)
            assert found == self.model.standing()

    def signed(self, statement, signature):
        return two_persons.signed(
            self.request, statement, signature, self.officers,
            now_ms=self.model.now, terms=TERMS,
        )  # fmt: skip


TestTwoPersons = TwoPersons.TestCase
TestTwoPersons.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("kind", sorted(Kind))
def test_every_kind_takes_two_persons(kind):
    """Two signatures, or one beside that of the officer who broke the glass."""
    least = 1 if kind is Kind.BREAK_GLASS else 2
    assert len(two_persons.roles_for(kind, {})) >= least


def test_a_signature_that_was_put_into_the_database_does_not_count():
    request = Request(
        id="r", region="g", kind=Kind.CLEARANCE_GRANT, action="{}", requester="operator",
        nonce="n", created_ms=0, expires_ms=DAY_MS,
    )  # fmt: skip
    officers = {name: PEOPLE[name].officer() for name in ("ann", "bob")}
    for name in officers:
        request = two_persons.signed(
            request, *PEOPLE[name].says(request), officers, now_ms=0, terms=TERMS
        )
    assert two_persons.standing(request, officers, 1) is Standing.APPROVED
    ann, bob = request.signatures
    for forged in (
        replace(bob, signature=ann.signature),
        replace(ann, at_ms=2),
        replace(bob, reason="x"),
    ):
        changed = replace(request, signatures=(ann, forged))
        assert two_persons.standing(changed, officers, 1) is Standing.PENDING
    lent = {**officers, "bob": replace(officers["bob"], roles=frozenset({R.AUDITOR}))}
    assert two_persons.standing(request, lent, 1) is Standing.PENDING

"""Questions for the mandatory engines, and the rules again in plain Python, as an oracle.

The oracle was written from the rules, not from the policies' text, and compares sets that the
labels were made from, not the kernel's bits.
"""

import random
from dataclasses import dataclass, field, replace

import msgspec

from bastide.kernel.clock import ManualClock
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.scheme import Scheme, SchemeFile
from bastide.policy.cedar.engine import CedarEngine
from bastide.policy.cedar.slices import Slices, packaged
from bastide.policy.questions import TWO_PERSON, Approval, Mode, Question, Subject, Target
from bastide.policy.second import SecondEngine
from tests.labels_kit import CEILING

FBI, DHS, DOE = "111111111111", "222222222222", "333333333333"
LEVELS = ("U", "C", "S", "TS")
CATEGORIES = ("SI", "TK", "P7", "ORCON")
NATIONS = ("GBR", "CAN")
SCHEME = Scheme(
    msgspec.convert(
        {
            "name": "test",
            "own": "USA",
            "withheld_from": "C",
            "level": [{"mark": mark} for mark in LEVELS],
            "category": [
                {"mark": "SI", "kind": "compartment"},
                {"mark": "TK", "kind": "compartment"},
                {"mark": "P7", "kind": "programme"},
                {"mark": "ORCON", "kind": "control"},
            ],
            "nations": ["USA", *NATIONS],
        },
        SchemeFile,
    )
)
ALONE = tuple(sorted(frozenset(Mode) - TWO_PERSON))
TOP = SCHEME.clearance("TS//SI/TK//P7//ORCON")
DIGEST = "sha256:aa"


def label(marking):
    return SCHEME.parse(marking)


@dataclass(frozen=True)
class Plain:
    """A label as it was made: what the oracle looks at."""

    level: int
    categories: frozenset[str]
    withheld: frozenset[str]

    def over(self, other):
        return (
            self.level >= other.level
            and self.categories >= other.categories
            and self.withheld >= other.withheld
        )


def made(plain):
    """The kernel's label for it, by way of its marking."""
    groups = [LEVELS[plain.level], *(["/".join(sorted(plain.categories))] * bool(plain.categories))]
    released = [nation for nation in NATIONS if nation not in plain.withheld]
    return label("//".join([*groups, " ".join(["REL TO USA", *released])]))


@dataclass
class Oracle:
    """Every label that was made, and what the rules say."""

    plain: dict[Label, Plain] = field(default_factory=dict)

    def label(self, plain):
        found = made(plain)
        self.plain[found] = plain
        return found

    def over(self, one, other):
        return self.plain[one].over(self.plain[other])

    def allows(self, question):
        who, what, mode = question.subject, question.target, question.mode
        return (
            not who.suspended
            and self.over(who.clearance, who.session)
            and self.over(question.ceiling, what.label)
            and self.over(question.ceiling, who.session)
            and self._flows(who.session, what.label, mode)
            and self._is_its_own(who, what, mode)
            and self._has_the_duty(who, what, mode)
            and (mode not in TWO_PERSON or self._agreed(question))
        )

    def _flows(self, session, label, mode):
        up, down = self.over(session, label), self.over(label, session)
        if mode in (Mode.READ, Mode.LIST, Mode.EVIDENCE):
            return up
        return down if mode in (Mode.CREATE, Mode.APPEND) else up and down

    def _is_its_own(self, who, what, mode):
        shared = mode in (Mode.READ, Mode.LIST) and who.account in what.shared_with
        return who.account == what.account or shared

    def _has_the_duty(self, who, what, mode):
        if "auditor" in who.roles:
            own = what.delivered and who.account == what.account and "operator" not in who.roles
            return mode is Mode.EVIDENCE or (own and mode in (Mode.READ, Mode.LIST))
        plain = mode in (Mode.MANAGE, Mode.EVIDENCE) or mode in TWO_PERSON
        return plain or "operator" not in who.roles

    def _agreed(self, question):
        who, what, mode, first = (
            question.subject,
            question.target,
            question.mode,
            question.approval,
        )
        if not self._valid(question, first) or first.by.id == who.id:
            return False
        if question.requester in ("", who.id, first.by.id):
            return False
        lead, other = PAIRS[mode]
        if lead not in who.roles or other not in first.by.roles:
            return False
        if mode is not Mode.RELEASE:
            return True
        people = [who.id, first.by.id, what.author]
        if "releaser" not in who.roles or question.digest != what.digest:
            return False
        if what.down:
            second = question.second
            if not self._valid(question, second) or "reviewer" not in second.by.roles:
                return False
            people.append(second.by.id)
        return len(set(people)) == len(people)

    def _valid(self, question, approval):
        return (
            question.digest is not None
            and approval is not None
            and approval.digest == question.digest
            and approval.expires_s > question.now_s
            and not approval.by.suspended
            and approval.by.account == question.target.account
            and self.over(approval.by.clearance, question.target.label)
        )


SECURITY_OFFICER, REVIEWER, CUSTODIAN = "security-officer", "reviewer", "key-custodian"
PAIRS = {  # the roles of who signs first, and of who signs after
    Mode.DOWNGRADE: (REVIEWER, "releaser"),
    Mode.LOOSEN_GUARDRAIL: (SECURITY_OFFICER, REVIEWER),
    Mode.GRANT_CLEARANCE: (SECURITY_OFFICER, SECURITY_OFFICER),
    Mode.HAND_OUT_KEYS: (SECURITY_OFFICER, SECURITY_OFFICER),
    Mode.REVIEW_TRANSFER: (REVIEWER, SECURITY_OFFICER),
    Mode.DESTROY_KEY: (CUSTODIAN, CUSTODIAN),
    Mode.CHANGE_TRUST_ANCHOR: (SECURITY_OFFICER, SECURITY_OFFICER),
    Mode.RETIRE_AUDIT: (SECURITY_OFFICER, "auditor"),
    Mode.RELEASE: ("releaser", "releaser"),
}


def engine(policies=None, shipped=None):
    """An engine with agencies' policies that are just there: account → [(name, text)]."""
    held = policies or {}
    return CedarEngine(Slices(shipped or packaged(), lambda account: held.get(account, ())))


def second_engine(policies=None, ceiling=CEILING):
    """What an authorizer asks last."""
    return SecondEngine(decider=engine(policies), ceiling=ceiling, clock=ManualClock())


def person(name="ann", session="S", clearance="TS//SI/TK", account=FBI, **more):
    given = {
        "id": f"AIDA{name}",
        "account": account,
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "name": name,
        "kind": "IAMUser",
        "clearance": SCHEME.clearance(clearance),
        "session": label(session),
    }
    return Subject(**given | more)


def thing(marking="S", account=FBI, **more):
    given = {"arn": "arn:aws:s3:::b/k", "account": account, "kind": "s3/object"}
    return Target(**{"label": label(marking)} | given | more)


def ask(mode, who=None, what=None, **more):
    given = {
        "subject": who or person(),
        "mode": mode,
        "operation": "s3:GetObject",
        "target": what or thing(),
        "ceiling": TOP,
        "now_s": 1_000,
    }
    return Question(**given | more)


def approval(name="bob", role="security-officer", digest=DIGEST, expires_s=2_000, **more):
    """`role`: one, or several with a blank between."""
    by = person(name, roles=frozenset(role.split()), **more)
    return Approval(by=by, digest=digest, expires_s=expires_s)


def agreed(mode, who=None, what=None, **more):
    """A question with the approval that its mode asks for."""
    lead, other = PAIRS[mode]
    given = {"digest": DIGEST, "approval": approval(role=other), "requester": "operator"}
    who = who or person(roles=frozenset({lead}))
    return ask(mode, who, what or thing(digest=DIGEST), **given | more)


@dataclass
class Worlds:
    """Random questions, most of them near the border between yes and no."""

    chance: random.Random
    oracle: Oracle = field(default_factory=Oracle)

    def question(self):
        chance = self.chance
        mode = chance.choice(ALONE if chance.random() < 0.7 else sorted(TWO_PERSON))
        session = self._plain()
        who = self._person("ann", session)
        if mode in TWO_PERSON and chance.random() < 0.9:
            who = replace(who, roles=who.roles | {PAIRS[mode][0]})
        people = [self._person(name, self._near(session)) for name in ("ann", "bob", "cy", "dot")]
        about = self._near(session) if chance.random() < 0.5 else session
        digest = chance.choices((DIGEST, "sha256:bb", None), (8, 1, 1))[0]
        return Question(
            subject=who,
            mode=mode,
            operation=chance.choice(("s3:GetObject", "s3:DeleteObject", "s3:PutObject")),
            target=self._target(about, who, mode),
            ceiling=self._ceiling(),
            now_s=chance.choice((999, 1_000, 1_001)),
            digest=digest if mode in TWO_PERSON else None,
            requester=self._requester() if mode in TWO_PERSON else "",
            approval=self._approval(people, PAIRS[mode][1]) if mode in TWO_PERSON else None,
            second=self._approval(people, "reviewer") if mode is Mode.RELEASE else None,
        )

    def _plain(self):
        chance = self.chance
        return Plain(
            chance.randint(0, 3),
            frozenset(chance.sample(CATEGORIES, chance.choice((0, 1, 1, 2)))),
            frozenset(chance.sample(NATIONS, chance.randint(0, 2))),
        )

    def _near(self, plain):
        chance = self.chance
        if chance.random() < 0.5:
            return plain
        level = min(3, max(0, plain.level + chance.choice((-1, 0, 1))))
        flip = frozenset({chance.choice(CATEGORIES)}) if chance.random() < 0.5 else frozenset()
        nation = frozenset({chance.choice(NATIONS)}) if chance.random() < 0.3 else frozenset()
        return Plain(level, plain.categories ^ flip, plain.withheld ^ nation)

    def _most(self):
        return Plain(3, frozenset(CATEGORIES), frozenset(NATIONS))

    def _ceiling(self):
        plain = self._most() if self.chance.random() < 0.7 else self._near(self._most())
        return self.oracle.label(plain)

    def _person(self, name, session):
        chance = self.chance
        clearance = self._most() if chance.random() < 0.6 else self._near(session)
        region = ("operator", "auditor", "releaser", "reviewer", "key-custodian")
        roles = {role for role in (*region, "security-officer") if chance.random() < 0.15}
        roles |= {f"{FBI}/{role}" for role in ("analyst", "contractor") if chance.random() < 0.5}
        return replace(
            person(name, account=chance.choices((FBI, DHS), (6, 1))[0]),
            clearance=self.oracle.label(clearance),
            session=self.oracle.label(session),
            roles=frozenset(roles),
            suspended=chance.random() < 0.04,
        )

    def _target(self, plain, who, mode):
        chance = self.chance
        foreign = chance.random() < 0.15
        return thing(
            account=chance.choice((FBI, DHS)) if foreign else who.account,
            arn=chance.choice(("arn:aws:s3:::b/k", "arn:aws:s3:::b/secret")),
            kind=chance.choice(("s3/object", "s3/bucket")),
            shared_with=frozenset({FBI} if chance.random() < 0.4 else ()),
            delivered=chance.random() < 0.5,
            author=f"AIDA{chance.choice(('ann', 'bob', 'eve', 'eve', 'eve', 'eve'))}",
            digest=chance.choices((DIGEST, "sha256:bb"), (8, 1))[0],
            down=chance.random() < 0.5,
            label=self.oracle.label(plain),
        )

    def _requester(self):
        names = ("operator", "AIDAann", "AIDAbob", "AIDAcy", "")
        return self.chance.choices(names, (16, 1, 1, 1, 1))[0]

    def _approval(self, people, role):
        chance = self.chance
        if chance.random() < 0.05:
            return None
        by = chance.choice(people)
        if chance.random() < 0.9:
            by = replace(by, roles=by.roles | {role})
        digest = chance.choices((DIGEST, "sha256:bb"), (8, 1))[0]
        return Approval(by=by, digest=digest, expires_s=chance.choice((1_000, 1_001, 2_000)))

"""Officers with keys of their own, for tests, and the books of approvals that know them."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from bastide.db import Database
from bastide.kernel import statements
from bastide.kernel.approvals import Kind, NotApproved, digest_of
from bastide.kernel.clock import ManualClock
from bastide.kernel.ids import SystemIds
from bastide.kernel.statements import PrivateKey, Verdict
from bastide.policy.agreement import Agreement
from bastide.policy.approval_model import Officer, Request, Role, Terms
from bastide.policy.approvals import ApprovalBook
from bastide.policy.officers import NewOfficer, OfficerBook
from tests.cedar_kit import engine
from tests.labels_kit import CEILING

REGION = "us-gov-west-1"


@dataclass
class Person:
    """Who can sign. The key is real; only the region's half of it is ever handed over."""

    name: str
    roles: tuple[Role, ...]
    known_as: tuple[str, ...] = ()
    key: PrivateKey = field(default_factory=lambda: statements.new_key("ed25519"))

    @property
    def pem(self) -> str:
        return statements.public_pem(self.key.public_key())

    def officer(self, **more) -> Officer:
        return Officer(
            name=self.name, roles=frozenset(self.roles), public_key=self.pem,
            known_as=self.known_as, **more,
        )  # fmt: skip

    def says(self, request: Request, verdict: Verdict = Verdict.APPROVE, reason: str = ""):
        """(statement, signature) of this person about a request."""
        statement = request.statement(verdict, self.name, reason)
        return statement, statements.sign(statement, self.key)


@dataclass
class Agreed:
    """`Approvals` for those who have to ask: everything is approved, or nothing."""

    agreed: bool = True
    used: list[tuple[Kind, dict, str]] = field(default_factory=list)

    def request(self, kind, action, requester):
        return "r-1"

    def require(self, kind, action, requester):
        digest_of(action)
        if not self.agreed:
            raise NotApproved("r-1", "Nobody has signed.")
        self.used.append((kind, action, requester))
        return "r-1"

    def carry_out(self, kind, action, requester, effect):
        self.require(kind, action, requester)
        return effect(None)


@dataclass
class ToldTrail:
    """An audit trail that keeps what it was told: (action, facts, code)."""

    told: list[tuple[str, dict[str, str], str]] = field(default_factory=list)

    def operator(self, action, facts, code=""):
        self.told.append((action, dict(facts), code))
        done: Future[int] = Future()
        done.set_result(len(self.told))
        return done

    def last(self) -> tuple[str, str]:
        action, _, code = self.told[-1]
        return action, code


@dataclass
class Office:
    """The books of one region, and the persons whom they know."""

    database: Database
    terms: Terms = field(default_factory=Terms)
    region: str = REGION
    clock: ManualClock = field(default_factory=ManualClock)
    trail: ToldTrail = field(default_factory=ToldTrail)
    people: dict[str, Person] = field(default_factory=dict)
    decider: Any = field(default_factory=engine)

    def __post_init__(self) -> None:
        self.book = ApprovalBook(
            region=self.region, database=self.database, clock=self.clock, ids=SystemIds(),
            trail=self.trail, terms=self.terms,
            agreement=Agreement(decider=self.decider, ceiling=CEILING),
        )  # fmt: skip
        self.officers = OfficerBook(
            database=self.database, clock=self.clock, trail=self.trail, approvals=self.book
        )

    def new(self, name: str, *roles: str, known_as: tuple[str, ...] = ()) -> NewOfficer:
        person = self.people.setdefault(name, Person(name, tuple(map(Role, roles)), known_as))
        return NewOfficer(name=name, roles=roles, public_key=person.pem, known_as=list(known_as))

    def enrol(self, name: str, *roles: str, known_as: tuple[str, ...] = ()) -> None:
        """The first two are enrolled at once; they sign for all others."""
        new = self.new(name, *roles, known_as=known_as)
        try:
            self.officers.enrol(new, "operator")
        except NotApproved as waits:
            for first in list(self.people)[:2]:
                self.say(waits.request_id, first)
            self.officers.enrol(new, "operator")

    def say(
        self, request_id: str, name: str, verdict: Verdict = Verdict.APPROVE, reason: str = ""
    ) -> Request:
        statement, signature = self.people[name].says(self.book.find(request_id), verdict, reason)
        return self.book.sign(statement.plain(), signature)

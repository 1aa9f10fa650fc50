"""A full decision (walls, IAM, Cedar) with 11,000 agencies that each have policies of their own,
and the decisions of a listing of 20,000 objects.

In service a decision is kept by all that its policies can read; the figures without that show what
the first question of each label costs, and what it costs when the agency's slice is to be made.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection
from tests.labels_kit import US
from tests.policy_kit import Held, document, principal, statement

from bastide.db import Database
from bastide.kernel.call import Principal
from bastide.kernel.clock import SystemClock
from bastide.kernel.labels.label import Label
from bastide.policy import cedar_records as records
from bastide.policy.authorizer import PolicyAuthorizer
from bastide.policy.cedar.agency import AgencyPolicies
from bastide.policy.cedar.engine import CedarEngine
from bastide.policy.cedar.slices import HELD_MAX
from bastide.policy.ports import Stored
from bastide.policy.questions import Question, Verdict
from bastide.policy.second import Decider, SecondEngine
from bastide.policy.walls import Walls
from bench.common import Report, arguments, quantile_ms

AGENCIES = 11_000
OBJECTS = 20_000
ASKED = 2_000
CLEARANCE = US.clearance("TS//SI/TK")
BUCKET = "arn:aws-us-gov:s3:::b"
COMPARTMENTS = ("", "//SI", "//TK", "//SI/TK")
OWN = """forbid (principal in Bastide::Role::"{account}/contractor", action, resource)
when {{ context.operation like "s3:Delete*" }};
forbid (principal, action == Bastide::Action::"manage", resource) when {{ principal.name == "x" }};
forbid (principal in Bastide::Role::"{account}/guest", action, resource);
forbid (principal, action, resource) when {{ principal.kind == "AWSService" }};
permit (principal in Bastide::Role::"{account}/analyst", action, resource);"""


@dataclass
class Facts(Held):
    """Every account's administrator may do all; an object's label is told by its ARN."""

    labels: dict[str, Label] = field(default_factory=dict)

    def policies_of(self, account: str, issuer_arn: str) -> list[tuple[str, str]]:
        return [("everything", document(statement()))]

    def label(self, principal: Principal, resource: str, version: str | None) -> Label | None:
        return self.labels.get(resource, US.parse("S"))


@dataclass(frozen=True)
class Anew:
    """Keeps no decision."""

    engine: CedarEngine

    def decide(self, question: Question) -> Verdict:
        return self.engine.decide_anew(question)

    def by_class(self, question: Question) -> bool:
        return False


def account(number: int) -> str:
    return f"{100_000_000_000 + number}"


def stored(database: Database) -> None:
    def work(connection: Connection) -> None:
        for number in range(AGENCIES):
            text = OWN.format(account=account(number))
            one = records.StoredPolicy(account=account(number), name="own", text=text, changed_ms=0)
            records.put(connection, one)

    database.write(work)


def administrator(number: int, session: str = "S") -> Principal:
    arn = f"arn:aws-us-gov:iam::{account(number)}:user/administrator"
    return principal(
        account=account(number),
        arn=arn,
        issuer_arn=arn,
        user_id=f"AIDA{number}",
        clearance=CLEARANCE,
        session=US.parse(session),
    )


def samples(work: Callable[[int], object], asked: list[int]) -> list[float]:
    found = []
    for one in asked:
        started = time.perf_counter()
        work(one)
        found.append(time.perf_counter() - started)
    return found


def cpu_us(work: Callable[[int], object], asked: list[int]) -> float:
    """Of each: what a busy machine hardly changes."""
    started = time.thread_time()
    for one in asked:
        work(one)
    return (time.thread_time() - started) / len(asked) * 1e6


def authorizer(decider: Decider, facts: Facts) -> PolicyAuthorizer:
    second = SecondEngine(decider=decider, ceiling=CLEARANCE, clock=SystemClock())
    return PolicyAuthorizer(
        walls=Walls(ceiling=CLEARANCE),
        second=second,
        stored=Stored(principals=facts, resources=facts),
    )


def decisions(report: Report, policies: AgencyPolicies, chance: random.Random) -> None:
    engine, facts = policies.engine, Facts()
    anew, kept = authorizer(Anew(engine), facts), authorizer(engine, facts)
    people = [administrator(number) for number in range(AGENCIES)]

    def asks(one: PolicyAuthorizer) -> Callable[[int], bool]:
        def ask(number: int) -> bool:
            allowed = one.permits(people[number], "s3:GetObject", f"{BUCKET}/k", {})
            assert allowed
            return allowed

        return ask

    held = list(range(HELD_MAX))
    making = samples(asks(anew), [*range(HELD_MAX, AGENCIES, 9), *held])
    asked = [chance.choice(held) for _ in range(ASKED)]
    found = samples(asks(anew), asked)
    p50 = quantile_ms(found, 0.5) * 1e3
    report.add("full decision, nothing kept, p50", p50, "us", target=300, n=len(found))
    p99 = quantile_ms(found, 0.99) * 1e3
    report.add("full decision, nothing kept, p99", p99, "us", n=len(found))
    report.add("CPU of a full decision, nothing kept", cpu_us(asks(anew), asked), "us")
    report.add("with a slice to make, p50", quantile_ms(making, 0.5) * 1e3, "us", n=len(making))
    samples(asks(kept), held)
    again = quantile_ms(samples(asks(kept), asked), 0.5) * 1e3
    report.add("full decision, as in service, p50", again, "us", target=300, n=len(asked))
    report.add("CPU of a full decision, as in service", cpu_us(asks(kept), asked), "us")
    asker = SecondEngine(decider=engine, ceiling=CLEARANCE, clock=SystemClock()).about(people[0])
    question = asker.question("s3:GetObject", f"{BUCKET}/k", US.parse("S"))
    alone = samples(lambda _: engine.decide_anew(question), asked)
    report.add("Cedar alone, p50", quantile_ms(alone, 0.5) * 1e3, "us", n=len(alone))


def listing(report: Report, policies: AgencyPolicies, chance: random.Random) -> None:
    levels = [level for level in US.levels if level in ("S", "TS")]
    markings = [f"{level}{inner}" for level in levels for inner in COMPARTMENTS] + ["U", "CUI"]
    keys = [f"{BUCKET}/object-{number}" for number in range(OBJECTS)]
    facts = Facts(labels={key: US.parse(chance.choice(markings)) for key in keys})
    took, seen = [], 0
    for number in range(3):  # another agency each time: nothing is kept of it
        who = administrator(number, "TS//SI")
        standing = authorizer(policies.engine, facts)._standing(who, {})
        started = time.perf_counter()
        seen = sum(standing.permits("s3:GetObject", key) for key in keys)
        took.append(time.perf_counter() - started)
    assert 0 < seen < OBJECTS
    report.add("20,000 objects listed", statistics.median(took), "s", target=0.5, n=OBJECTS)
    report.add("an object of a listing", statistics.median(took) / OBJECTS * 1e6, "us")


def main() -> None:
    parser = arguments(__doc__ or "")
    chosen = parser.parse_args()
    report, chance = Report("bench.policy"), random.Random(1)
    with tempfile.TemporaryDirectory() as home:
        database = Database(f"sqlite:///{Path(home) / 'region.db'}")
        database.start(create=True)
        stored(database)
        policies = AgencyPolicies.at(database, SystemClock())
        decisions(report, policies, chance)
        listing(report, policies, chance)
        database.close()
    report.print(chosen.json)


if __name__ == "__main__":
    main()

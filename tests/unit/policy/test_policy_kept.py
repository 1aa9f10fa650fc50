"""What an authorizer keeps answers like what it would work out anew, whatever changed meanwhile."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.cedar_kit import engine
from tests.labels_kit import CEILING, US
from tests.policy_kit import ME, USER, Held, a_call, document, principal, statement

from bastide.kernel.call import PrincipalKind
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError
from bastide.policy.authorizer import PolicyAuthorizer
from bastide.policy.cedar.slices import packaged
from bastide.policy.kept import Kept
from bastide.policy.ports import Stored
from bastide.policy.second import SecondEngine
from bastide.policy.walls import Walls

SHIPPED = packaged()
ROLE = f"arn:aws-us-gov:iam::{ME}:role/lab"
JOB = f"arn:aws-us-gov:sagemaker:us-gov-west-1:{ME}:training-job"
S3 = "arn:aws-us-gov:s3:::"
PEOPLE = (USER, ROLE)
CALLS = [
    ("sagemaker.DescribeTrainingJob", {"TrainingJobName": "a"}),
    ("sagemaker.DescribeTrainingJob", {"TrainingJobName": "ann"}),
    ("sagemaker.StopTrainingJob", {"TrainingJobName": "a"}),
    ("bedrock-runtime.Converse", {"modelId": "m", "messages": []}),
    ("s3.GetObject", {"Bucket": "b", "Key": "k"}),
    ("s3.DeleteObject", {"Bucket": "b", "Key": "k"}),
]
CONDITIONS = [
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    {"DateLessThan": {"aws:CurrentTime": "2026-06-01T00:00:00Z"}},
    {"StringEquals": {"aws:PrincipalTag/team": "red"}},
    {"StringEquals": {"aws:ResourceTag/team": "red"}},
    {"StringLike": {"aws:UserAgent": "boto*"}},
]
OWN = [
    'forbid (principal, action, resource) when { context.operation like "s3:Delete*" };',
    'forbid (principal, action, resource) when { resource.arn like "*/ann" };',
    "forbid (principal, action, resource) when { context.now > 1767229000 };",
    "forbid (principal, action, resource) when { resource.label.level > 2 };",
    f'forbid (principal in Bastide::Role::"{ME}/lab", action, resource);',
]
FACTS = {
    "source_ip": ["10.1.1.1", "192.0.2.1"],
    "user_agent": ["boto3", "curl"],
    "time": [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 9)],
}
ARNS = [f"{JOB}/a", f"{JOB}/ann", f"{S3}b/k"]


def a_document(chance, **more):
    """One that mostly allows something, or everything but for one condition."""
    given = []
    for _ in range(chance.choice([1, 1, 2])):
        condition = chance.choice(CONDITIONS) if chance.random() < 0.3 else {}
        given.append(
            statement(
                chance.choice(["*", "*", "sagemaker:*", "sagemaker:Describe*", "s3:*"]),
                chance.choice(
                    ["*", f"{JOB}/a", f"{JOB}/a", f"{JOB}/${{aws:username}}", f"{S3}b/*"]
                ),
                chance.choice(["Allow", "Allow", "Allow", "Deny"]),
                **({"Condition": condition} if condition else {}),
                **more,
            )
        )
    return document(*given)


def a_change(chance):
    """One thing that is stored, or the hour."""
    person = chance.choice(PEOPLE)
    return chance.choice(
        [
            *[("policies", person, [a_document(chance)])] * 4,
            ("boundaries", person, chance.choice([None, a_document(chance)])),
            *[("buckets", "b", chance.choice([None, a_document(chance, Principal="*")]))] * 4,
            ("labels", chance.choice(ARNS), chance.choice([None, "U", "S", "TS"])),
            ("tagged", chance.choice(ARNS), chance.choice([{}, {"team": "red"}])),
            ("agency", ME, chance.sample(OWN, chance.choice([0, 0, 1, 2]))),
            ("clock", "", 3_600),
        ]
    )


def a_fact(chance):
    """Another caller, or another of a call's facts."""
    own = ["issuer_arn", "session", "tags", *["session_policies"] * 4]
    name = chance.choice([*FACTS, *own])
    values = {
        **FACTS,
        "issuer_arn": PEOPLE,
        "session": [US.parse("U"), US.parse("S")],
        "tags": [{}, {"team": "red"}],
        "session_policies": [None, (a_document(chance),)],
    }
    return {name: chance.choice(values[name])}


class World:
    """What is stored, one authorizer that lives on, and for each call one that knows nothing. It
    is past midnight of 2026-01-01, which is 1767225600."""

    def __init__(self):
        self.held, self.clock = Held(policies={USER: [document(statement())]}), ManualClock()
        self.own = {ME: []}
        self.engine = engine(self.own, SHIPPED)
        self.lasting = self.authorizer(self.engine)

    def authorizer(self, decider):
        return PolicyAuthorizer(
            walls=Walls(ceiling=CEILING),
            second=SecondEngine(decider=decider, ceiling=CEILING, clock=self.clock),
            stored=Stored(principals=self.held, resources=self.held),
        )

    def change(self, what, whose, value):
        if what == "clock":
            self.clock.advance(value)
        elif what == "agency":
            self.own[whose] = [(f"p{n}", text) for n, text in enumerate(value)]
            self.engine.forget(whose)
        elif value is None:
            getattr(self.held, what).pop(whose, None)
        else:
            getattr(self.held, what)[whose] = value

    def check(self, facts):
        who = {name: value for name, value in facts.items() if name not in FACTS}
        told = {name: value for name, value in facts.items() if name in FACTS}
        fresh = engine(self.own, SHIPPED)
        for operation, params in CALLS:
            call = replace(a_call(operation, who=caller(who)), **told)
            anew = said(self.authorizer(fresh), call, params)
            assert said(self.lasting, call, params) == anew, (operation, facts)


def caller(who):
    if who["issuer_arn"] == USER:
        return principal(**who)
    kind = PrincipalKind.SESSION
    return principal(**who, kind=kind, arn=f"{ROLE}/s", user_id="AROALAB:s", name="s")


def said(authorizer, call, params):
    """What is answered, to the word."""
    try:
        authorizer.authorize(call, authorizer.canonical(call, params))
    except ServiceError as error:
        return error.code, error.message
    return None


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_is_what_would_be_decided_anew(seed):
    """One thing changes at a time, so that most of what is asked was asked before."""
    chance, world = random.Random(seed), World()
    facts = {name: values[0] for name, values in FACTS.items()}
    facts |= {"issuer_arn": USER, "session": US.parse("S"), "clearance": CEILING}
    for _ in range(150):
        world.check(facts)
        if chance.random() < 0.5:
            world.change(*a_change(chance))
        else:
            facts |= a_fact(chance)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (statement(), True),
        (statement("s3:*", f"{S3}b/*"), True),
        *((statement(Condition=condition), False) for condition in CONDITIONS),
        (statement(resource=f"{JOB}/${{aws:username}}"), False),
    ],
)  # fmt: skip
def test_what_looks_at_the_call_is_never_kept(given, kept):
    world = World()
    world.held.policies[USER] = [document(given)]
    said(world.lasting, a_call("s3.GetObject"), {"Bucket": "b", "Key": "k"})
    found = world.lasting.standing(a_call("s3.GetObject"), {})
    policies = found._policies("s3:GetObject", f"{S3}b/k")
    assert (policies.kept_by is not None) == kept


def test_what_a_resource_says_itself_is_never_kept():
    world = World()
    world.held.buckets["b"] = document(statement(Principal="*"))
    found = world.lasting.standing(a_call("s3.GetObject"), {})
    assert found._policies("s3:GetObject", f"{S3}b/*").kept_by is None
    assert found._policies("s3:GetObject", f"{S3}c/*").kept_by is not None


def test_what_is_kept_is_bounded():
    kept = Kept[int, int](3)
    for n in range(10):
        assert kept.keep(n, n) == kept.get(n) == n
        assert sum(kept.get(each) is not None for each in range(10)) <= 3

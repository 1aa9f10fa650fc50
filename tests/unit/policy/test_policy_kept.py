"""What an authorizer keeps answers like what it would work out anew, whatever changed meanwhile."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
    {},
    {},
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
statements = st.builds(
    lambda effect, action, resource, condition: statement(
        action, resource, effect, **({"Condition": condition} if condition else {})
    ),
    st.sampled_from(["Allow", "Allow", "Allow", "Deny"]),
    st.sampled_from(["*", "*", "sagemaker:*", "sagemaker:Describe*", "s3:*", "bedrock:*"]),
    st.sampled_from(["*", "*", f"{JOB}/a", f"{JOB}/${{aws:username}}", f"{S3}b/*"]),
    st.sampled_from(CONDITIONS),
)
documents = st.lists(statements, min_size=1, max_size=2).map(lambda s: document(*s))
of_bucket = st.lists(statements, min_size=1, max_size=2).map(
    lambda s: document(*(one | {"Principal": "*"} for one in s))
)
markings = st.sampled_from([None, "U", "S", "S//SI", "TS"])
sessions = st.sampled_from(["U", "S", "TS//SI"])
arns = st.sampled_from([f"{JOB}/a", f"{JOB}/ann", f"{S3}b/k"])
changes = st.one_of(
    st.tuples(
        st.just("policies"), st.sampled_from(PEOPLE), st.lists(documents, min_size=1, max_size=2)
    ),
    st.tuples(st.just("boundaries"), st.sampled_from(PEOPLE), st.none() | documents),
    st.tuples(st.just("buckets"), st.just("b"), st.none() | of_bucket),
    st.tuples(st.just("labels"), arns, markings),
    st.tuples(st.just("tagged"), arns, st.sampled_from([{}, {"team": "red"}])),
    st.tuples(st.just("agency"), st.just(ME), st.lists(st.sampled_from(OWN), max_size=2)),
    st.tuples(st.just("clock"), st.just(""), st.just(3_600)),
)
callers = st.fixed_dictionaries(
    {
        "issuer_arn": st.sampled_from(PEOPLE),
        "session": sessions.map(US.parse),
        "clearance": st.just(CEILING),
        "tags": st.sampled_from([{}, {"team": "red"}]),
        "session_policies": st.none() | documents.map(lambda text: (text,)),
    }
)
facts = st.fixed_dictionaries(
    {
        "source_ip": st.sampled_from(["10.1.1.1", "192.0.2.1"]),
        "user_agent": st.sampled_from(["boto3", "curl"]),
        "time": st.sampled_from([datetime(2026, m, 1, tzinfo=UTC) for m in (1, 9)]),
    }
)


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

    def check(self, who, facts):
        for operation, params in CALLS:
            call = replace(a_call(operation, who=caller(who)), **facts)
            anew = said(self.authorizer(engine(self.own, SHIPPED)), call, params)
            assert said(self.lasting, call, params) == anew


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


@settings(max_examples=60, deadline=None)
@given(callers, facts, st.lists(st.tuples(changes, st.none() | callers, st.none() | facts)))
def test_what_is_kept_is_what_would_be_decided_anew(who, told, steps):
    world = World()
    for change, other, others in steps:
        world.check(who, told)
        world.change(*change)
        who, told = other or who, others or told
    world.check(who, told)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (statement(), True),
        (statement("s3:*", f"{S3}b/*"), True),
        *((statement(Condition=condition), False) for condition in CONDITIONS if condition),
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


def test_what_is_kept_is_bounded():
    kept = Kept[int, int](3)
    for n in range(10):
        assert kept.keep(n, n) == kept.get(n) == n
        assert sum(kept.get(each) is not None for each in range(10)) <= 3

"""A thousand keys of one bucket: what they have in common is decided once, and decided the same."""

from collections import UserDict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy_kit import Desk, a_call, document, statement

from bastide.policy.document import PolicyKind, parse

S3 = "arn:aws-us-gov:s3:::"
PARAMS = {"Bucket": "b"}
ACTION = "s3:DeleteObject"
resources = st.sampled_from(["*", S3 + "*", S3 + "b/*", S3 + "b/a*", S3 + "b/?x", S3 + "c/a",
                             "arn:*:s3:::b/a*", S3 + "b/${aws:username}*"])  # fmt: skip
conditions = st.sampled_from([{}, {"StringEquals": {"aws:username": "ann"}},
                              {"StringEquals": {"aws:username": "bob"}},
                              {"Bool": {"aws:SecureTransport": "true"}}])  # fmt: skip
statements = st.builds(
    lambda effect, action, resource, condition, inverted: {
        "Effect": effect,
        "Action": action,
        "NotResource" if inverted else "Resource": resource,
        "Condition": condition,
    },
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.sampled_from(["*", "s3:Delete*", "s3:GetObject"]),
    resources,
    conditions,
    st.booleans(),
)
KEYS = [S3 + key for key in ("b/a", "b/ax", "b/ann", "b/z", "c/a", "b/a:b")]


def sources(given):
    return None if given is None else [("x", parse(document(*given), PolicyKind.IDENTITY))]


few = st.none() | st.lists(statements, min_size=1, max_size=2)


@given(st.lists(statements, min_size=1, max_size=4), st.lists(statements, max_size=2), few, few)
def test_each_key_is_decided_as_if_it_were_alone(own, of_bucket, boundary, session):
    policy = [one | {"Principal": "*"} for one in of_bucket]
    desk = Desk(*own, buckets={"b": document(*policy)} if policy else {})
    call = a_call("s3.DeleteObjects")

    def standing():
        found = desk.authorizer.standing(call, PARAMS)
        return replace(found, boundary=sources(boundary), session=sources(session))

    together = standing()
    for key in KEYS:
        assert together.permits(ACTION, key) == standing().decision(ACTION, key).allowed


class Counted(UserDict):
    reads = 0

    def __getitem__(self, key):
        self.reads += 1
        return super().__getitem__(key)


def test_conditions_are_looked_at_once_for_all_keys():
    held = {"StringLike": {"aws:username": "a*"}}
    missed = {"StringLike": {"aws:username": "x*"}}
    desk = Desk(*(statement("s3:*", S3 + f"b/{n}*", Condition=c)
                  for n in range(20) for c in (held, missed)))  # fmt: skip
    standing = desk.authorizer.standing(a_call("s3.DeleteObjects"), PARAMS)
    standing = replace(standing, context=Counted(standing.context))
    assert standing.permits(ACTION, S3 + "b/1")
    once = standing.context.reads
    answers = [standing.permits(ACTION, f"{S3}b/{n}") for n in range(1000)]
    assert sum(answers) == 1000
    assert standing.context.reads == once > 0


@pytest.mark.parametrize("resource", [S3 + "b/k", "arn:aws-us-gov:s3:::b/k*", S3 + "b/*:k"])
def test_a_call_for_many_keys_evaluates_none_on_the_loop(resource):
    """The handler's thread asks for them, one by one."""
    desk = Desk(statement("s3:DeleteObject", resource))
    many = {"Bucket": "b", "Delete": {"Objects": [{"Key": f"x{n}"} for n in range(1000)]}}
    asked = []
    desk.held.bucket_policy = lambda account, bucket: asked.append(bucket)
    assert desk.allows("s3.DeleteObjects", many)
    assert asked == []

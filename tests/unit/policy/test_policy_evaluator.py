"""Documents, patterns and conditions: documented examples, hostile input, a slow reference."""

import contextlib
import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.kernel.errors import ServiceError
from bastide.policy.document import PolicyKind, parse
from bastide.policy.evaluator import Caller, Grant, Policies, Request, decide, trusted
from bastide.policy.patterns import ArnPattern, BadPattern, Pattern

ME = Caller(
    account="111122223333",
    own="AROAAAAAAAAAAAAAAAAAA:session",
    issuer="AROAAAAAAAAAAAAAAAAAA",
)


def document(*statements, version="2012-10-17"):
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(**more):
    return {"Effect": "Allow", "Action": "*", "Resource": "*"} | more


def says(text, action="s3:GetObject", resource="arn:aws:s3:::b/k", **context):
    request = Request(
        action=action.lower(),
        resource=resource,
        context={key.replace("__", ":").lower(): v for key, v in context.items()},
        caller=ME,
    )
    found = decide(request, Policies(identity=[("p", parse(text, PolicyKind.IDENTITY))]))
    return "deny" if found.explicit_deny else "allow" if found.allowed else "no"


@given(st.text("ab*?:", max_size=8), st.text("ab:", max_size=10))
def test_globs_are_what_a_slow_regex_says(pattern, value):
    slow = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    expected = re.fullmatch(slow, value, re.DOTALL) is not None
    assert Pattern.of(pattern).matches(value, {}) == expected


@given(st.text("ab*?:", max_size=12), st.text("ab:", max_size=12))
def test_arn_wildcards_stay_between_their_colons(pattern, value):
    fields, values = pattern.split(":", 5), value.split(":", 5)
    expected = pattern == "*" or (
        len(fields) == len(values)
        and all(
            re.fullmatch(re.escape(f).replace(r"\*", ".*").replace(r"\?", "."), v, re.DOTALL)
            for f, v in zip(fields, values, strict=True)
        )
    )
    assert ArnPattern.of(pattern).matches(value, {}) == bool(expected)


def test_hostile_patterns_take_no_longer():
    started = time.process_time()
    assert not Pattern.of("*a" * 2000 + "b").matches("a" * 4000, {})
    assert not Pattern.of("*a?" * 1000 + "b").matches("a" * 4000, {})
    assert time.process_time() - started < 2


def test_variables():
    home = allow(Resource="arn:aws:s3:::b/${aws:username}/*")
    assert says(document(home), resource="arn:aws:s3:::b/ann/x", aws__username="ann") == "allow"
    assert says(document(home), resource="arn:aws:s3:::b/bob/x", aws__username="ann") == "no"
    assert says(document(home), resource="arn:aws:s3:::b/bob/x", aws__username="*") == "no"
    assert says(document(home), resource="arn:aws:s3:::b/bob/x") == "no"
    team = allow(Resource="arn:aws:s3:::b/${aws:PrincipalTag/team, 'none'}/k")
    assert says(document(team), resource="arn:aws:s3:::b/none/k") == "allow"
    star = allow(Resource="arn:aws:s3:::b/${*}${?}${$}")
    assert says(document(star), resource="arn:aws:s3:::b/*?$") == "allow"
    assert says(document(star), resource="arn:aws:s3:::b/xy$") == "no"
    old = document(home, version="2008-10-17")
    assert says(old, resource="arn:aws:s3:::b/${aws:username}/x", aws__username="ann") == "allow"


@pytest.mark.parametrize("text", ["${", "${x}", "${aws:username", "${}", "${a:b, c}", "${${a:b}}"])
def test_what_is_no_variable_is_refused(text):
    with pytest.raises(BadPattern):
        Pattern.of(text)


ORDERS = {
    "Equals": (False, True, False),
    "NotEquals": (True, False, True),
    "LessThan": (True, False, False),
    "LessThanEquals": (True, True, False),
    "GreaterThan": (False, False, True),
    "GreaterThanEquals": (False, True, True),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("Numeric", ["9", "10", "11"]),
        ("Date", [f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3)]),
    ],
)
def test_orders_below_at_and_above(kind, values, order):
    test = document(allow(Condition={f"{kind}{order}": {"a:key": values[1]}}))
    found = tuple(says(test, a__key=value) == "allow" for value in values)
    assert found == ORDERS[order]


CONDITIONS = [
    # operator, wanted, value, holds, holds when the key is absent
    ("StringEquals", "a", "a", True, False),
    ("StringEquals", "a*", "ab", False, False),
    ("StringNotEquals", "a", "b", True, True),
    ("StringEqualsIgnoreCase", "A", "a", True, False),
    ("StringNotEqualsIgnoreCase", "A", "a", False, True),
    ("StringLike", "a*", "ab", True, False),
    ("StringNotLike", ["a*", "b*"], "bb", False, True),
    ("StringEqualsIfExists", "a", "b", False, True),
    ("NumericEquals", "10", "10.0", True, False),
    ("NumericNotEquals", 10, "11", True, True),
    ("NumericLessThan", "10", "9", True, False),
    ("NumericLessThanEquals", "10", "10", True, False),
    ("NumericGreaterThan", "10", "nan", False, False),
    ("NumericGreaterThanEquals", "10", "1_0", False, False),
    ("DateLessThan", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z", True, False),
    ("DateGreaterThan", "1767225600", "2026-01-01T00:00:01Z", True, False),
    ("DateEquals", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z", True, False),
    ("DateNotEquals", "2026-01-01", "2026-01-01T00:00:00Z", False, True),
    ("Bool", True, "true", True, False),
    ("Bool", "false", "true", False, False),
    ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True, False),
    ("IpAddress", "203.0.113.0/24", "203.0.113.9", True, False),
    ("NotIpAddress", ["203.0.113.0/24", "2001:db8::/32"], "2001:db8::1", False, True),
    ("ArnLike", "arn:aws:sns:*:1:t*", "arn:aws:sns:x:1:top", True, False),
    ("ArnEquals", "arn:aws:sns:*:1:t", "arn:aws:sns:x:2:t", False, False),
    ("ArnNotLike", "arn:aws:sns:*:1:t", "arn:aws:sns:x:2:t", True, True),
    ("Null", "true", "x", False, True),
    ("Null", "false", "x", True, False),
    ("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], True, False),
    ("ForAllValues:StringEquals", ["a", "b"], ["c", "b"], False, True),
    ("ForAllValues:StringLike", "*", [], True, True),
    ("ForAnyValue:StringNotEquals", "a", ["a"], False, False),
]


@pytest.mark.parametrize(("name", "wanted", "value", "present", "absent"), CONDITIONS)
def test_operators(name, wanted, value, present, absent):
    text = document(allow(Condition={name: {"aws:Key": wanted}}))
    assert says(text, aws__key=value) == ("allow" if present else "no")
    assert says(text) == ("allow" if absent else "no")


def test_deny_wins_and_not_forms():
    deny = {"Effect": "Deny", "NotAction": "s3:Get*", "Resource": "*"}
    text = document(allow(), deny)
    assert says(text, "S3:getobject") == "allow"
    assert says(text, "s3:PutObject") == "deny"
    kept = {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::b/*"}
    assert says(document(allow(), kept)) == "allow"
    assert says(document(allow(), kept), resource="arn:aws:s3:::c/k") == "deny"


@pytest.mark.parametrize(
    ("principal", "grant"),
    [
        ("*", Grant.ROLE),
        ({"AWS": ME.account}, Grant.DELEGATED),
        ({"AWS": f"arn:aws:iam::{ME.account}:root"}, Grant.DELEGATED),
        ({"AWS": ME.issuer}, Grant.ROLE),
        ({"AWS": [ME.own, ME.account]}, Grant.DIRECT),
        ({"AWS": "999999999999"}, Grant.NONE),
        ({"Service": "sagemaker.amazonaws.com"}, Grant.NONE),
    ],
)
def test_trust(principal, grant):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    request = Request(action="sts:assumerole", resource="*", context={}, caller=ME)
    assert trusted(request, parse(document(statement), PolicyKind.TRUST)) is grant


def bad_documents():
    yield from ("", "null", "[]", "{", '{"Statement": NaN}', "[" * 100_000, "1" * 10_000)
    yield '{"Version": "2012-10-17", "Version": "2012-10-17", "Statement": []}'
    yield document()
    yield document(allow(), version="2020-01-01")
    yield " " * 200_000
    for change in (
        {"Effect": "allow"},
        {"Action": "GetObject"},
        {"Action": []},
        {"Action": None},
        {"Action": "s3:${aws:username}"},
        {"Resource": "bucket"},
        {"Resource": "arn:aws:s3:x"},
        {"Resource": "arn:aws:s3:::${nothing}"},
        {"NotAction": "s3:*"},
        {"Principal": "*"},
        {"Sid": "a b"},
        {"Extra": 1},
        {"Condition": []},
        {"Condition": {"StringEqual": {"aws:x": "y"}}},
        {"Condition": {"NotIpAddress": {"aws:SourceIp": "x"}}},
        {"Condition": {"Null": {"aws:x": "maybe"}}},
        {"Condition": {"Bool": {"aws:x": "${aws:y}"}}},
        {"Condition": {"ForSomeValues:StringLike": {"aws:x": "y"}}},
        {"Condition": {"StringEquals": {"nokey": "y"}}},
        {"Condition": {"StringEquals": {"aws:x": []}}},
        {"Condition": {"StringEquals": {"aws:x": {"a": 1}}}},
    ):
        yield document(allow(**change))
    yield document(allow(Sid="a"), allow(Sid="a"))


@pytest.mark.parametrize("text", list(bad_documents()), ids=lambda text: text[:40])
def test_bad_documents_are_refused(text):
    with pytest.raises(ServiceError) as caught:
        parse(text, PolicyKind.IDENTITY)
    assert caught.value.code == "MalformedPolicyDocument"


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["Version", "Statement", "Effect", "Action", "Resource", "Condition"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
))  # fmt: skip
def test_no_document_crashes_the_parser(body):
    for kind in PolicyKind:
        with contextlib.suppress(ServiceError):
            parse(json.dumps(body), kind)


WORDING = [
    (PolicyKind.IDENTITY, allow(Effect="Maybe"), "Syntax errors in policy."),
    (PolicyKind.IDENTITY, allow(NotAction="*"), "Syntax errors in policy."),
    (PolicyKind.IDENTITY, allow(NotResource="*"), "Syntax errors in policy."),
    (PolicyKind.IDENTITY, allow(Action=[]), "Policy statement must contain actions."),
    (PolicyKind.IDENTITY, allow(Action=[1]), "Syntax errors in policy."),
    (PolicyKind.IDENTITY, allow(Resource=[]), "Policy statement must contain resources."),
    (PolicyKind.IDENTITY, allow(Resource="x"), 'Resource x must be in ARN format or "*".'),
    (PolicyKind.IDENTITY, allow(Principal="*"), "Policy document should not specify a principal."),
    (PolicyKind.IDENTITY, allow(Sid="a b"), "Statement IDs (SID) must be alpha-numeric."),
    (PolicyKind.RESOURCE, allow(), "Missing required field Principal"),
    (PolicyKind.TRUST, allow(Principal="*"), "Has prohibited field Resource"),
    (
        PolicyKind.IDENTITY,
        allow(Action="list"),
        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
    ),
]


@pytest.mark.parametrize(("kind", "statement", "words"), WORDING, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_said_in_aws_s_words(kind, statement, words):
    with pytest.raises(ServiceError) as caught:
        parse(document(statement), kind)
    assert caught.value.message == words


def test_a_managed_policy_is_of_the_newer_version():
    for old in (document(allow(), version="2008-10-17"), json.dumps({"Statement": [allow()]})):
        parse(old, PolicyKind.IDENTITY)
        with pytest.raises(ServiceError, match="must be version 2012-10-17 or greater"):
            parse(old, PolicyKind.MANAGED)


def test_actions_and_keys_of_other_services_may_be_named():
    """They are never asked for here; policies that name them come along all the same."""
    actions = ["service-prefix:action-name", "a4b:*", "execute-api:Invoke", "s3.x:ListBucket"]
    keys = {"cognito-identity.amazonaws.com:sub": "x", "www.amazon.com:user_id": "y"}
    text = document(
        allow(Action=actions),
        allow(Condition={"StringEquals": keys}),
        allow(Resource="arn:aws:s3:::b/${cognito-identity.amazonaws.com:sub}/*"),
    )
    assert says(text) == "no"


@pytest.mark.parametrize("operator", ["StringEquals", "StringLike", "StringEqualsIfExists"])
def test_a_key_with_several_values_needs_a_set_operator(operator):
    for values in (["a"], ["a", "b"]):
        test = document(allow(Condition={operator: {"a:key": "a"}}))
        assert says(test, a__key=values) == "no"
        test = document(allow(Condition={f"ForAnyValue:{operator}": {"a:key": "a"}}))
        assert says(test, a__key=values) == "allow"


@pytest.mark.parametrize("operator", ["StringEquals", "StringLike", "StringEqualsIgnoreCase"])
def test_a_variable_without_a_value_matches_nothing(operator):
    test = document(allow(Condition={operator: {"a:key": "${aws:absent}"}}))
    assert says(test, a__key="x") == says(test, a__key="") == "no"
    assert says(test, a__key="x", aws__absent="x") == "allow"

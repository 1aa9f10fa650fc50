"""How identity, resource, boundary and session policies meet: AWS's flow chart, cell by cell."""

import itertools
import json

import pytest

from bastide.policy.document import PolicyKind, parse
from bastide.policy.evaluator import Caller, Grant, Policies, Reason, Request, decide, trusted

USER = Caller(account="111122223333", own="AIDAUSER00000000", issuer="AIDAUSER00000000")
SESSION = Caller(account="111122223333", own="AROAROLE00000000:s", issuer="AROAROLE00000000")
SAYS = {"allow": "Allow", "deny": "Deny"}


def parsed(says, kind=PolicyKind.IDENTITY, **principal):
    """`says`: allow, deny, or silent: a document about something else."""
    effect = SAYS.get(says, "Allow")
    resource = "*" if says in SAYS else "arn:aws:s3:::other"
    statement = {"Effect": effect, "Action": "s3:*", "Resource": resource, **principal}
    return [("p", parse(json.dumps({"Statement": [statement]}), kind))]


def decided(caller, identity, resource=None, boundary=None, session=None, *, named=None):
    who = {"AWS": named or caller.own}
    policies = Policies(
        identity=parsed(identity),
        resource=parsed(resource, PolicyKind.RESOURCE, Principal=who) if resource else (),
        boundary=parsed(boundary) if boundary else None,
        session=parsed(session) if session else None,
    )
    request = Request(action="s3:getobject", resource="arn:aws:s3:::b/k", context={}, caller=caller)
    return decide(request, policies)


LAYERS = list(
    itertools.product(
        ("allow", "deny", "silent"),
        (None, "allow", "deny", "silent"),
        (None, "allow", "deny", "silent"),
        (None, "allow", "deny", "silent"),
    )
)


@pytest.mark.parametrize("caller", [USER, SESSION], ids=["user", "session"])
@pytest.mark.parametrize(("identity", "resource", "boundary", "session"), LAYERS)
def test_a_caller_who_is_named_itself(caller, identity, resource, boundary, session):
    """One deny anywhere refuses; a resource's own grant then needs nobody else's."""
    found = decided(caller, identity, resource, boundary, session)
    says = (identity, resource, boundary, session)
    narrowed = boundary in (None, "allow") and session in (None, "allow")
    by_identity = identity == "allow" and narrowed
    assert found.allowed == ("deny" not in says and (resource == "allow" or by_identity))
    assert found.explicit_deny == ("deny" in says)


@pytest.mark.parametrize("named", ["AROAROLE00000000", "*", "111122223333"])
@pytest.mark.parametrize(("identity", "resource", "boundary", "session"), LAYERS)
def test_a_session_whose_role_or_account_is_named(identity, resource, boundary, session, named):
    """The role's grant stands in for its identity policies; boundary and session narrow it. The
    account's does not even that."""
    found = decided(SESSION, identity, resource, boundary, session, named=named)
    says = (identity, resource, boundary, session)
    granted = identity == "allow" or (resource == "allow" and named != "111122223333")
    narrowed = boundary in (None, "allow") and session in (None, "allow")
    assert found.allowed == ("deny" not in says and granted and narrowed)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ({"identity": "silent"}, Reason.NO_IDENTITY),
        ({"identity": "allow", "boundary": "silent"}, Reason.NO_BOUNDARY),
        ({"identity": "allow", "session": "silent"}, Reason.NO_SESSION),
        ({"identity": "deny"}, Reason.DENY_IDENTITY),
        ({"identity": "allow", "resource": "deny"}, Reason.DENY_RESOURCE),
        ({"identity": "allow", "boundary": "deny"}, Reason.DENY_BOUNDARY),
        ({"identity": "allow", "session": "deny"}, Reason.DENY_SESSION),
    ],
)
def test_the_reason_names_the_layer(says, reason):
    assert decided(SESSION, **says).reason is reason


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("named", [USER.own, "111122223333", "*", "AIDAOTHER0000000"])
def test_a_deny_with_not_principal_spares_who_is_named_unless_bounded(named, bounded):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html"""
    denial = parsed("deny", PolicyKind.RESOURCE, NotPrincipal={"AWS": named})
    policies = Policies(
        identity=parsed("allow"),
        resource=denial,
        boundary=parsed("allow") if bounded else None,
    )
    request = Request(action="s3:getobject", resource="arn:aws:s3:::b/k", context={}, caller=USER)
    assert decide(request, policies).allowed == (not bounded and named != "AIDAOTHER0000000")


def test_what_decided_is_named():
    document = json.dumps(
        {
            "Statement": [
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Sid": "No", "Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"},
            ]
        }
    )
    source = [("id", parse(document, PolicyKind.IDENTITY))]
    for action, names in (("s3:getobject", ("id#No",)), ("s3:putobject", ("id#1",))):
        request = Request(action=action, resource="arn:aws:s3:::b/k", context={}, caller=USER)
        assert decide(request, Policies(identity=source)).matched == names


@pytest.mark.parametrize(
    ("denied", "grant"), [("AIDAOTHER0000000", Grant.DIRECT), (USER.own, Grant.NONE)]
)
def test_a_deny_in_a_trust_policy_wins(denied, grant):
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": USER.own}}
    denial = statement | {"Effect": "Deny", "Principal": {"AWS": denied}}
    document = parse(json.dumps({"Statement": [statement, denial]}), PolicyKind.TRUST)
    request = Request(action="sts:assumerole", resource="*", context={}, caller=USER)
    assert trusted(request, document) is grant


@pytest.mark.parametrize("named", [USER.own, "AIDAOTHER0000000"])
def test_an_allow_with_not_principal_spares_who_is_named_bounded_or_not(named):
    policies = Policies(
        identity=[],
        resource=parsed("allow", PolicyKind.RESOURCE, NotPrincipal={"AWS": named}),
        boundary=parsed("allow"),
    )
    request = Request(action="s3:getobject", resource="arn:aws:s3:::b/k", context={}, caller=USER)
    assert decide(request, policies).allowed == (named != USER.own)

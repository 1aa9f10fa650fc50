"""An auditor's duty over every operation there is, as each of the two engines alone decides it."""

from functools import partial

import pytest
from tests.golden.calls import ROLE, Inputs
from tests.golden.people import SERVICE, People
from tests.policy_kit import a_call
from tests.registry import ask_region

from bastide.kernel import arns
from bastide.kernel.errors import ServiceError
from bastide.policy.actions import needs_of
from bastide.policy.evaluator import Reason

EVIDENCE = {
    "cloudtrail.DescribeTrails",
    "cloudtrail.GetTrail",
    "cloudtrail.GetTrailStatus",
    "cloudtrail.ListPublicKeys",
    "cloudtrail.LookupEvents",
}
# On a bucket and keys that a trail delivers to: what `aws cloudtrail validate-logs` asks, and what
# needs no more than that. Neither reads nor names what the delivery did not write.
DELIVERED = {
    "s3.GetBucketLocation",
    "s3.GetObject",
    "s3.HeadBucket",
    "s3.HeadObject",
    "s3.ListObjects",
    "s3.ListObjectsV2",
}
ONESELF = {"sts.GetCallerIdentity", "sts.GetSessionToken"}


def each_engine(region, *, delivered=False):
    """By operation: what the authorizer, the walls and Cedar say to an auditor who may all.
    `delivered`: as if all that it names were where a trail delivers."""
    if delivered:
        region.identity.resources.delivered = lambda who, arn: True
    people, identity = People(region), region.identity
    admin = people.administrator("alpha")
    auditor = people.auditor(admin, "auditor", "AdministratorAccess")
    inputs, authorizer = Inputs(region.core.region, admin.account), identity.authorizer
    cedar = authorizer.second.about(auditor)
    found = {}
    for name in sorted(region.gateway.handlers):
        call = a_call(name, who=auditor)
        params = inputs.least(region.catalogue.operation(name))
        params = authorizer.canonical(call, params)
        needs = needs_of(call, params, authorizer.stored)
        found[name] = (
            _allowed(authorizer, call, params),
            all(
                authorizer.walls.permits(auditor, each.action, None, delivered=delivered)
                for each in needs
            ),
            {
                cedar.refusal(each.action, arn, None, delivered=delivered)
                for each in needs
                for arn in each.resources
            },
        )
    return found


def _allowed(authorizer, call, params):
    try:
        authorizer.authorize(call, params)
    except ServiceError as error:
        if error.code not in ("AccessDenied", "AccessDeniedException"):
            raise
        return False
    return True


def test_both_engines_refuse_an_auditor_all_but_evidence(tmp_path):
    found = ask_region(tmp_path, each_engine)
    assert {name for name, (allowed, *_) in found.items() if allowed} == EVIDENCE | ONESELF
    asked = {name: each for name, each in found.items() if each[2]}
    assert len(asked) > len(found) * 0.95, "nearly every operation asks both"
    for name, (_, walls, cedar) in asked.items():
        assert walls == (name in EVIDENCE), name
        assert cedar == {None if name in EVIDENCE else Reason.DUTY}, name


def test_where_a_trail_delivers_an_auditor_may_what_validates_it(tmp_path):
    found = ask_region(tmp_path, partial(each_engine, delivered=True))
    may = {name for name, (allowed, *_) in found.items() if allowed}
    assert may == EVIDENCE | ONESELF | DELIVERED
    for name, (_, walls, cedar) in found.items():
        if cedar:
            assert walls == (name in EVIDENCE | DELIVERED), name
            assert not changes(name) or Reason.DUTY in cedar, name


def changes(name):
    """Whether an operation changes something, by its first word; OpenAI's and Anthropic's creates
    are answers."""
    service, _, operation = name.partition(".")
    words = ("Create", "Put", "Delete", "Update", "Upload")
    return service != "bedrock-mantle" and operation.startswith(words)


def test_a_service_works_as_an_auditors_role_with_its_duty(tmp_path):
    def asked(region):
        people, roles = People(region), region.identity.roles
        account = people.administrator("alpha").account
        arn = arns.iam(region.core.region, account, f"role/{ROLE}")
        thing = "arn:aws-us-gov:s3:::data/k"

        def may():
            who = roles.assume_for_service(account, arn, SERVICE, "U")
            return region.identity.authorizer.permits(who, "s3:GetObject", thing, {})

        before = may()
        people.duties.grant(account, f"role/{ROLE}", "auditor", "")
        return before, may()

    assert ask_region(tmp_path, asked) == (True, False)


@pytest.mark.parametrize("who", ["group/g", "ada", "user/", "user/nobody"])
def test_only_a_user_or_a_role_that_is_there_has_a_duty(tmp_path, who):
    def asked(region):
        people = People(region)
        account = people.administrator("alpha").account
        with pytest.raises(ServiceError):
            people.duties.grant(account, who, "auditor", "")
        with pytest.raises(ServiceError, match="The duties are"):
            people.duties.grant(account, f"role/{ROLE}", "operator", "")
        return people.duties.rows(account)

    assert ask_region(tmp_path, asked) == []

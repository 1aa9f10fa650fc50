"""Roles, who may assume and pass them, and the sessions that come of it."""

import json
from dataclasses import replace
from urllib.parse import unquote

import pytest
from tests.identity_kit import JOB, REGION, SERVICE, policy, refused, trust

from bastide.identity import clearance_records
from bastide.kernel.errors import ServiceError


def test_roles_are_assumed_by_those_they_trust(site, admin):
    call = site.call(admin)
    made = site.roles.create_role(
        call,
        {
            "RoleName": "R",
            "AssumeRolePolicyDocument": trust(
                {"AWS": admin.account}, Condition={"StringEquals": {"sts:ExternalId": "x"}}
            ),
        },
    )["Role"]
    assert "sts:AssumeRole" in unquote(made["AssumeRolePolicyDocument"])
    site.roles.put_role_policy(
        call, {"RoleName": "R", "PolicyName": "p", "PolicyDocument": policy("s3:*")}
    )
    asked = {"RoleArn": made["Arn"], "RoleSessionName": "s"}
    sts = site.call(admin, "sts.AssumeRole")
    refused("AccessDenied", site.sessions.assume_role, sts, asked)
    asked |= {"ExternalId": "x", "Policy": policy("s3:GetObject")}
    site.authorizer.authorize(sts, asked)
    answer = site.sessions.assume_role(sts, asked)
    found = site.session(answer)
    assert found.secret == answer["Credentials"]["SecretAccessKey"]
    assert found.principal.arn == answer["AssumedRoleUser"]["Arn"]
    object_ = {"Bucket": "b", "Key": "k"}
    site.authorizer.authorize(site.call(found.principal, "s3.GetObject"), object_)
    narrowed = site.call(found.principal, "s3.PutObject")
    error = refused("AccessDenied", site.authorizer.authorize, narrowed, object_)
    assert "no session policy" in error.message
    made = answer["Credentials"]
    for changed in (made["SessionToken"][:-8] + "AAAAAAA=", "", "x", "%"):
        assert site.credentials.find(made["AccessKeyId"], changed, site.clock.now()) is None
    other = "ASIA" + "A" * 16
    assert site.credentials.find(other, made["SessionToken"], site.clock.now()) is None
    assert site.credentials.find(made["AccessKeyId"], None, site.clock.now()) is None
    site.clock.advance(3600)
    assert site.session(answer) is None


def test_a_session_ends_with_its_role_even_if_the_name_comes_back(site, admin):
    call = site.call(admin)
    role = {"RoleName": "R", "AssumeRolePolicyDocument": trust({"AWS": "*"})}
    arn = site.roles.create_role(call, role)["Role"]["Arn"]
    answer = site.sessions.assume_role(call, {"RoleArn": arn, "RoleSessionName": "s"})
    assert site.session(answer) is not None
    site.roles.delete_role(call, {"RoleName": "R"})
    assert site.session(answer) is None
    site.roles.create_role(call, role)
    assert site.session(answer) is None


def shown_trust(site, admin, name):
    role = site.roles.get_role(site.call(admin), {"RoleName": name})["Role"]
    return json.loads(unquote(role["AssumeRolePolicyDocument"]))["Statement"][0]["Principal"]["AWS"]


def test_a_re_created_user_or_role_is_not_the_one_that_was_trusted(site, admin):
    call, sts = site.call(admin), site.call
    maker = {"RoleName": "Maker", "AssumeRolePolicyDocument": trust({"AWS": admin.account})}
    maker_arn = site.roles.create_role(call, maker)["Role"]["Arn"]
    site.user(admin, "bob")
    bob_arn = f"arn:aws-us-gov:iam::{admin.account}:user/bob"
    session_arn = f"arn:aws-us-gov:sts::{admin.account}:assumed-role/Maker/s"
    for name, who in (("ByUser", bob_arn), ("ByRole", maker_arn), ("BySession", [session_arn])):
        document = trust({"AWS": who})
        made = {"RoleName": name, "AssumeRolePolicyDocument": document}
        site.roles.create_role(call, made)
        assert shown_trust(site, admin, name) == who

    def assumes(name, principal):
        asked = {
            "RoleArn": f"arn:aws-us-gov:iam::{admin.account}:role/{name}", "RoleSessionName": "x",
        }  # fmt: skip
        site.sessions.assume_role(sts(principal, "sts.AssumeRole"), asked)

    def bob():
        found = site.keys.list_access_keys(call, {"UserName": "bob"})["AccessKeyMetadata"]
        return site.credentials.find(found[0]["AccessKeyId"], None, site.clock.now()).principal

    def maker_session():
        answer = site.sessions.assume_role(call, {"RoleArn": maker_arn, "RoleSessionName": "s"})
        return site.session(answer).principal

    assumes("ByUser", bob())
    assumes("ByRole", maker_session())
    assumes("BySession", maker_session())
    key = {"UserName": "bob", "AccessKeyId": bob().access_key_id}
    site.keys.delete_access_key(call, key)
    old = site.users.get_user(call, {"UserName": "bob"})["User"]["UserId"]
    site.users.delete_user(call, {"UserName": "bob"})
    site.roles.delete_role(call, {"RoleName": "Maker"})
    site.user(admin, "bob")
    site.roles.create_role(call, maker)
    assert shown_trust(site, admin, "ByUser") == old
    assert shown_trust(site, admin, "BySession")[0].startswith("AROA")
    refused("AccessDenied", assumes, "ByUser", bob())
    refused("AccessDenied", assumes, "ByRole", maker_session())
    refused("AccessDenied", assumes, "BySession", maker_session())


def test_a_document_that_names_nobody_is_refused(site, admin):
    other = site.administrator("omega")
    site.user(other, "carl")
    call = site.call(admin)
    for who in (
        f"arn:aws-us-gov:iam::{admin.account}:user/nobody",
        f"arn:aws-us-gov:iam::{other.account}:user/carl",
        f"arn:aws-us-gov:sts::{admin.account}:assumed-role/Nobody/s",
        f"arn:aws:iam::{admin.account}:user/administrator",
        "AIDA",
    ):
        document = trust({"AWS": [admin.account, who]})
        asked = {"RoleName": "R", "AssumeRolePolicyDocument": document}
        error = refused("MalformedPolicyDocument", site.roles.create_role, call, asked)
        assert error.message == f'Invalid principal in policy: "AWS":"{who}"'
    kept = site.names.bound(
        admin.account, trust({"AWS": "*", "Service": "sagemaker.amazonaws.com"})
    )
    assert kept == trust({"AWS": "*", "Service": "sagemaker.amazonaws.com"}), "the very text"


def test_durations(site, admin):
    call = site.call(admin)
    role = {"RoleName": "R", "AssumeRolePolicyDocument": trust({"AWS": "*"})}
    asked = {
        "RoleArn": site.roles.create_role(call, role)["Role"]["Arn"],
        "RoleSessionName": "s",
        "DurationSeconds": 7200,
    }
    refused("ValidationError", site.sessions.assume_role, call, asked)
    site.roles.update_role(call, {"RoleName": "R", "MaxSessionDuration": 7200})
    chained = site.session(site.sessions.assume_role(call, asked)).principal
    refused("ValidationError", site.sessions.assume_role, site.call(chained), asked)


def test_session_tokens_of_users(site, admin):
    answer = site.sessions.get_session_token(site.call(admin), {})
    temporary = site.session(answer).principal
    assert temporary.arn == admin.arn
    site.authorizer.authorize(site.call(temporary, "s3.ListBuckets"), {})
    listing = site.call(temporary, "iam.ListUsers")
    refused("InvalidClientTokenId", site.authorizer.authorize, listing, {})
    for operation in ("sts.AssumeRole", "sts.GetCallerIdentity"):
        site.authorizer.authorize(site.call(temporary, operation), {})
    another = site.call(temporary, "sts.GetSessionToken")
    refused("AccessDenied", site.authorizer.authorize, another, {})


def test_roles_for_services(site, admin):
    arn = f"arn:aws-us-gov:iam::{admin.account}:role/BastideExecutionRole"
    work = site.service_roles.assume_for_service(admin.account, arn, SERVICE, "U")
    assert site.authorizer.permits(work, "s3:GetObject", "arn:aws-us-gov:s3:::b/k", {})
    assert not site.authorizer.permits(work, "iam:CreateUser", "*", {})
    site.service_roles.check_pass(site.call(admin), arn, SERVICE, JOB)
    only = policy("iam:PassRole", arn, Condition={"StringEquals": {"iam:PassedToService": SERVICE}})
    bob = site.user(admin, "bob", only)
    site.service_roles.check_pass(site.call(bob), arn, SERVICE, JOB)
    for who, role, service in (
        (bob, arn, "bedrock.amazonaws.com"),
        (bob, arn + "x", SERVICE),
        (admin, arn + "x", SERVICE),
    ):
        passing = site.service_roles.check_pass
        refused("AccessDeniedException", passing, site.call(who), role, service, JOB)
    become = site.service_roles.assume_for_service
    refused("ValidationException", become, admin.account, arn, "x.com", "U")
    refused("ValidationException", become, admin.account, arn, SERVICE, "S")


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "other"),
    [
        ("IpAddress", "aws:SourceIp", "10.0.0.0/8", "192.168.0.0/16"),
        ("StringEquals", "aws:RequestedRegion", REGION.name, "us-gov-east-1"),
        ("Bool", "aws:SecureTransport", "true", "false"),
        ("ArnLike", "iam:AssociatedResourceArn", JOB, JOB + "x"),
        ("StringEquals", "iam:PassedToService", SERVICE, "bedrock.amazonaws.com"),
        ("StringLike", "aws:UserAgent", "boto*", "curl*"),
        ("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
    ],
)
def test_a_role_is_passed_under_the_condition_keys_of_the_call(
    site, admin, operator, key, wanted, other
):
    arn = f"arn:aws-us-gov:iam::{admin.account}:role/BastideExecutionRole"

    def passes(name, value):
        condition = {operator: {key: value}}
        who = site.user(admin, name, policy("iam:PassRole", arn, Condition=condition))
        call = replace(site.call(who), source_ip="10.1.2.3", user_agent="boto3")
        site.service_roles.check_pass(call, arn, SERVICE, JOB)

    passes("right", wanted)
    refused("AccessDeniedException", passes, "wrong", other)


OPEN = {"AWS": "*"}
CHAIN = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


def role_of(site, admin, name, *documents, **more):
    """The ARN of a new role that everyone of the account may assume, tag and name."""
    statement = {"Effect": "Allow", "Principal": OPEN, "Action": CHAIN, **more}
    trusted = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    call = site.call(admin)
    role = {"RoleName": name, "AssumeRolePolicyDocument": trusted}
    arn = site.roles.create_role(call, role)["Role"]["Arn"]
    for index, text in enumerate(documents):
        site.roles.put_role_policy(
            call, {"RoleName": name, "PolicyName": f"p{index}", "PolicyDocument": text}
        )
    return arn


def assumed(site, who, arn, **asked):
    """The principal of a session; both checks are made, as the gateway does."""
    call = site.call(who, "sts.AssumeRole")
    params = {"RoleArn": arn, "RoleSessionName": "session", **asked}
    site.authorizer.authorize(call, params)
    return site.session(site.sessions.assume_role(call, params)).principal


def allows(site, who, operation, **params):
    try:
        site.authorizer.authorize(site.call(who, operation), params)
    except ServiceError:
        return False
    return True


def tags(**pairs):
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def test_transitive_tags_go_down_the_chain_and_others_do_not(site, admin):
    first, second = (role_of(site, admin, name, policy()) for name in ("First", "Second"))
    asked = {"Tags": tags(team="blue", once="1"), "TransitiveTagKeys": ["Team"]}
    one = assumed(site, admin, first, **asked)
    assert one.tags == {"team": "blue", "once": "1"}
    two = assumed(site, one, second, Tags=tags(more="2"))
    assert two.tags == {"team": "blue", "more": "2"}
    three = assumed(site, two, first)
    assert three.tags == {"team": "blue"}, "still going"
    with pytest.raises(ServiceError, match="conflicts with a transitive tag"):
        assumed(site, two, first, Tags=tags(TEAM="red"))
    with pytest.raises(ServiceError, match="must be included"):
        assumed(site, admin, first, Tags=tags(a="1"), TransitiveTagKeys=["b"])


def test_bad_tags_are_refused_by_a_name_of_sts(site, admin):
    asked = {"RoleArn": role_of(site, admin, "First", policy()), "RoleSessionName": "s"}
    for bad in (tags(a="1", A="2"), tags(**{"aws:x": "1"})):
        refused(
            "ValidationError", site.sessions.assume_role, site.call(admin), asked | {"Tags": bad}
        )


def test_no_session_of_a_user_that_is_gone(site, admin):
    gone = replace(admin, name="gone")
    refused("InvalidClientTokenId", site.sessions.get_session_token, site.call(gone), {})


def test_inherited_tags_need_leave_to_tag(site, admin):
    first = role_of(site, admin, "First", policy())
    strict = role_of(site, admin, "Strict", Action="sts:AssumeRole")
    tagged = assumed(site, admin, first, Tags=tags(a="1"), TransitiveTagKeys=["a"])
    refused("AccessDenied", assumed, site, tagged, strict)
    assumed(site, assumed(site, admin, first), strict)


def test_a_source_identity_stays(site, admin):
    held = {"StringEquals": {"aws:SourceIdentity": "carol"}}
    arn = role_of(site, admin, "R", policy("s3:*", Condition=held), policy("sts:*"))
    anonymous = assumed(site, admin, arn)
    assert not allows(site, anonymous, "s3.ListBuckets")
    carol = assumed(site, admin, arn, SourceIdentity="carol")
    assert allows(site, carol, "s3.ListBuckets")
    assert allows(site, assumed(site, carol, arn), "s3.ListBuckets")
    with pytest.raises(ServiceError, match="cannot be changed"):
        assumed(site, carol, arn, SourceIdentity="dave")
    unnamed = role_of(site, admin, "U", Action="sts:AssumeRole")
    refused("AccessDenied", assumed, site, admin, unnamed, SourceIdentity="carol")


def test_managed_session_policies_narrow(site, admin):
    call = site.call(admin)
    arn = role_of(site, admin, "R", policy("s3:*"))
    reads = site.policies.create_policy(
        call, {"PolicyName": "Reads", "PolicyDocument": policy("s3:Get*")}
    )["Policy"]["Arn"]
    narrowed = assumed(site, admin, arn, PolicyArns=[{"arn": reads}], Policy=policy("s3:List*"))
    answers = [
        allows(site, narrowed, f"s3.{name}", Bucket="b", Key="k")
        for name in ("GetObject", "ListObjectsV2", "PutObject")
    ]
    assert answers == [True, True, False]
    answer = site.sessions.assume_role(
        call, {"RoleArn": arn, "RoleSessionName": "session", "PolicyArns": [{"arn": reads}]}
    )
    assert allows(site, site.session(answer).principal, "s3.GetObject", Bucket="b", Key="k")
    site.policies.delete_policy(call, {"PolicyArn": reads})
    assert not allows(site, site.session(answer).principal, "s3.GetObject", Bucket="b", Key="k")
    only = assumed(
        site, admin, arn, PolicyArns=[{"arn": "arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess"}]
    )
    assert allows(site, only, "s3.GetObject", Bucket="b", Key="k")
    assert not allows(site, only, "s3.PutObject", Bucket="b", Key="k")
    refused("ValidationError", assumed, site, admin, arn, PolicyArns=[{"arn": reads}])
    many = [{"arn": "arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess"}] * 11
    refused("ValidationError", assumed, site, admin, arn, PolicyArns=many)


def test_older_sessions_can_be_revoked(site, admin):
    """What the console's "revoke active sessions" writes."""
    arn = role_of(site, admin, "R", policy("s3:*"))
    old = assumed(site, admin, arn)
    site.clock.advance(60)
    moment = f"{site.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    before = {"DateLessThan": {"aws:TokenIssueTime": moment}}
    document = policy("*", effect="Deny", Condition=before)
    asked = {"RoleName": "R", "PolicyName": "AWSRevokeOlderSessions", "PolicyDocument": document}
    site.roles.put_role_policy(site.call(admin), asked)
    assert not allows(site, old, "s3.ListBuckets")
    assert allows(site, assumed(site, admin, arn), "s3.ListBuckets")


def test_packed_sizes(site, admin):
    arn = role_of(site, admin, "R")
    call = site.call(admin, "sts.AssumeRole")
    asked = {"RoleArn": arn, "RoleSessionName": "session"}
    answer = site.sessions.assume_role(call, asked | {"Tags": tags(a="1" * 203)})
    assert answer["PackedPolicySize"] == 10
    assert "PackedPolicySize" not in site.sessions.assume_role(call, asked)
    large = {"Tags": tags(**{f"k{n}": "1" * 250 for n in range(9)})}
    refused("PackedPolicyTooLarge", site.sessions.assume_role, call, asked | large)


def test_a_session_s_label_is_its_tag_s_in_any_case_and_a_user_s_is_the_default(site, admin):
    account, arn = admin.account, role_of(site, admin, "High", policy())
    for who in ("role/High", "user/administrator"):
        granted = site.clearances.offer(account, who, "S")
        site.directory.database.write(lambda c, one=granted: clearance_records.put(c, one))
    site.clearances.changed(account)
    cleared = site.administrator("alpha")
    for key in ("bastide:label", "Bastide:Label"):
        high = assumed(site, cleared, arn, Tags=tags(**{key: "S"}))
        assert high.session.text == "S"
    assert assumed(site, cleared, arn).session.text == "U"
    plain = site.sessions.get_session_token(site.call(cleared), {})
    assert site.session(plain).principal.session.text == "U"

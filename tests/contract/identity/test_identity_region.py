"""Agencies and IAM through their handler methods, with real policies, on both databases."""

import json
from dataclasses import replace

import pytest
from tests.identity_kit import JOB, SERVICE, policy, refused, trust

from bastide.identity import builtin
from bastide.kernel.call import Principal, PrincipalKind
from bastide.kernel.errors import ServiceError

AWS_POLICY = "arn:aws-us-gov:iam::aws:policy"


def test_an_agency_has_an_administrator_who_may_do_everything(site, admin):
    call = site.call(admin, "s3.CreateBucket")
    site.authorizer.authorize(call, {"Bucket": "b"})
    assert admin.arn == f"arn:aws-us-gov:iam::{admin.account}:user/administrator"
    refused("EntityAlreadyExists", site.agencies.create, "alpha")
    refused("EntityAlreadyExists", site.agencies.create, "beta", admin.account)
    refused("ValidationError", site.agencies.create, "../x")
    refused("ValidationError", site.agencies.create, "beta", "123")
    assert [each.name for each in site.agencies.list()] == ["alpha"]


def test_many_agencies(site):
    made = site.agencies.create_many(f"agency-{n}" for n in range(700))
    assert len({each.account_id for each in made}) == 700
    assert len(site.agencies.list()) == 700
    assert site.administrator("agency-699").account == made[-1].account_id


def test_a_user_s_life(site, admin):
    call = site.call(admin)
    site.users.create_user(
        call, {"UserName": "Ann", "Path": "/a/", "Tags": [{"Key": "t", "Value": "1"}]}
    )
    refused("EntityAlreadyExists", site.users.create_user, call, {"UserName": "ann"})
    got = site.users.get_user(call, {"UserName": "Ann"})["User"]
    assert got["Arn"].endswith(":user/a/Ann")
    assert got["Tags"] == [{"Key": "t", "Value": "1"}]
    named = {"UserName": "Ann"}
    keys = [site.keys.create_access_key(call, named)["AccessKey"] for _ in range(2)]
    refused("LimitExceeded", site.keys.create_access_key, call, named)
    now = site.clock.now()
    first = keys[0]["AccessKeyId"]
    assert site.credentials.find(first, None, now).secret == keys[0]["SecretAccessKey"]
    site.keys.update_access_key(call, named | {"AccessKeyId": first, "Status": "Inactive"})
    assert site.credentials.find(first, None, now) is None
    refused("DeleteConflict", site.users.delete_user, call, named)
    for key in keys:
        site.keys.delete_access_key(call, named | {"AccessKeyId": key["AccessKeyId"]})
    assert site.credentials.find(keys[1]["AccessKeyId"], None, now) is None
    site.users.delete_user(call, named)
    refused("NoSuchEntity", site.users.get_user, call, named)


def test_attached_policies_work_at_once(site, admin):
    bob, call = site.user(admin, "bob"), site.call(admin)
    put = site.call(bob, "s3.PutObject")
    params = {"Bucket": "b", "Key": "k"}
    error = refused("AccessDenied", site.authorizer.authorize, put, params)
    assert error.message == (
        f"User: {bob.arn} is not authorized to perform: s3:PutObject on resource: "
        "arn:aws-us-gov:s3:::b/k because no identity-based policy allows the s3:PutObject action"
    )
    managed = site.policies.create_policy(
        call, {"PolicyName": "P", "PolicyDocument": policy("s3:PutObject")}
    )["Policy"]["Arn"]
    for arn in (managed, "arn:aws-us-gov:iam::aws:policy/AmazonS3FullAccess"):
        site.users.attach_user_policy(call, {"UserName": "bob", "PolicyArn": arn})
        site.authorizer.authorize(put, params)
        refused("DeleteConflict", site.policies.delete_policy, call, {"PolicyArn": managed}) if (
            arn == managed
        ) else None
        site.users.detach_user_policy(call, {"UserName": "bob", "PolicyArn": arn})
        refused("AccessDenied", site.authorizer.authorize, put, params)
    site.policies.delete_policy(call, {"PolicyArn": managed})
    absent = {"UserName": "bob", "PolicyArn": managed}
    refused("NoSuchEntity", site.users.attach_user_policy, call, absent)


def test_bearer_keys(site, admin):
    call, now = site.call(admin), site.clock.now()
    token = site.agencies.issue_bearer(admin.account)
    assert token.startswith("ABSK")
    assert site.credentials.bearer(token, now).arn == admin.arn
    assert site.credentials.bearer(token + "x", now) is None
    asked = {
        "UserName": "administrator",
        "ServiceName": "bedrock.amazonaws.com",
        "CredentialAgeDays": 1,
    }
    made = site.service_keys.create_service_specific_credential(call, asked)
    secret = made["ServiceSpecificCredential"]["ServiceCredentialSecret"]
    assert site.credentials.bearer(secret, now).arn == admin.arn
    site.clock.advance(86_400)
    assert site.credentials.bearer(secret, site.clock.now()) is None
    name = {
        "ServiceSpecificCredentialId": made["ServiceSpecificCredential"][
            "ServiceSpecificCredentialId"
        ]
    }
    assert site.credentials.bearer(token, site.clock.now()) is not None
    site.service_keys.update_service_specific_credential(
        call,
        {
            "UserName": "administrator",
            "ServiceSpecificCredentialId": site.credentials.bearer(token, now).access_key_id,
            "Status": "Inactive",
        },
    )
    assert site.credentials.bearer(token, site.clock.now()) is None
    site.service_keys.delete_service_specific_credential(call, name)
    for _ in range(3):
        site.agencies.issue_bearer(admin.account)


def test_simulation(site, admin):
    site.user(admin, "bob", policy("s3:*"), policy("s3:PutObject", effect="Deny"))
    asked = {
        "PolicySourceArn": f"arn:aws-us-gov:iam::{admin.account}:user/bob",
        "ActionNames": ["s3:GetObject", "s3:PutObject", "iam:CreateUser"],
    }
    results = site.simulation.simulate_principal_policy(site.call(admin), asked)
    decisions = [each["EvalDecision"] for each in results["EvaluationResults"]]
    assert decisions == ["allowed", "explicitDeny", "implicitDeny"]


def decisions(answer):
    return [each["EvalDecision"] for each in answer["EvaluationResults"]]


def test_a_simulation_minds_the_boundary(site, admin):
    site.user(admin, "bob", policy("s3:*"))
    call = site.call(admin)
    boundary = {"UserName": "bob", "PermissionsBoundary": f"{AWS_POLICY}/AmazonS3ReadOnlyAccess"}
    site.users.put_user_permissions_boundary(call, boundary)
    asked = {
        "PolicySourceArn": f"arn:aws-us-gov:iam::{admin.account}:user/bob",
        "ActionNames": ["s3:GetObject", "s3:PutObject"],
    }
    answer = site.simulation.simulate_principal_policy(call, asked)
    assert decisions(answer) == ["allowed", "implicitDeny"]
    details = [each["PermissionsBoundaryDecisionDetail"] for each in answer["EvaluationResults"]]
    assert [each["AllowedByPermissionsBoundary"] for each in details] == [True, False]
    tried = asked | {"PermissionsBoundaryPolicyInputList": [policy("s3:Put*")]}
    answer = site.simulation.simulate_principal_policy(call, tried)
    assert decisions(answer) == ["implicitDeny", "allowed"]


def test_policies_are_tried_out_before_they_are_stored(site, admin):
    call = site.call(admin)
    only = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    asked = {
        "PolicyInputList": [policy("s3:Get*", Condition=only)],
        "ActionNames": ["s3:GetObject", "s3:PutObject"],
        "ResourceArns": ["arn:aws-us-gov:s3:::b/k"],
    }
    for address, expected in (("10.1.1.1", "allowed"), ("11.1.1.1", "implicitDeny")):
        entry = {
            "ContextKeyName": "aws:SourceIp",
            "ContextKeyType": "ip",
            "ContextKeyValues": [address],
        }
        answer = site.simulation.simulate_custom_policy(call, asked | {"ContextEntries": [entry]})
        assert decisions(answer) == [expected, "implicitDeny"]
    answer = site.simulation.simulate_custom_policy(call, asked)
    missing = [each["MissingContextValues"] for each in answer["EvaluationResults"]]
    assert missing == [["aws:SourceIp"], []], "the second action asks for none"
    carol = f"arn:aws-us-gov:iam::{admin.account}:user/carol"
    grant = json.loads(policy("s3:PutObject"))
    grant["Statement"][0]["Principal"] = {"AWS": carol}
    tried = asked | {"ResourcePolicy": json.dumps(grant), "CallerArn": carol}
    answer = site.simulation.simulate_custom_policy(call, tried)
    assert decisions(answer) == ["implicitDeny", "allowed"]
    for bad in ({"PolicyInputList": ["{"]}, {"ResourcePolicy": policy()}):
        refused("InvalidInput", site.simulation.simulate_custom_policy, call, asked | bad)


def test_large_policies_make_small_pages_of_a_simulation(site, admin, monkeypatch):
    """One call would keep a thread, and the interpreter, busy for minutes."""
    monkeypatch.setattr("bastide.identity.simulation.READ_MAX", 2 * len(policy("s3:*")))
    call, told = site.call(admin), []
    asked = {"PolicyInputList": [policy("s3:*")], "MaxItems": 1000,
             "ActionNames": [f"s3:Get{number}" for number in range(5)]}  # fmt: skip
    page = {"IsTruncated": True}
    while page["IsTruncated"]:
        marker = {"Marker": page["Marker"]} if told else {}
        page = site.simulation.simulate_custom_policy(call, asked | marker)
        told.append([each["EvalActionName"] for each in page["EvaluationResults"]])
    assert told == [["s3:Get0", "s3:Get1"], ["s3:Get2", "s3:Get3"], ["s3:Get4"]]


@pytest.mark.parametrize("name", sorted(builtin.DOCUMENTS))
def test_aws_s_policies_are_policies_and_exist_in_the_partition(site, admin, name):
    call = site.call(admin)
    site.checks.check(builtin.DOCUMENTS[name], "managed")
    shown = site.policies.get_policy(call, {"PolicyArn": f"{AWS_POLICY}/{name}"})["Policy"]
    assert shown["PolicyName"] == name
    elsewhere = {"PolicyArn": f"arn:aws:iam::aws:policy/{name}"}
    refused("NoSuchEntity", site.policies.get_policy, call, elsewhere)


def test_sagemaker_s_full_access_is_as_narrow_as_aws_s(site, admin):
    bob = site.user(admin, "bob")
    full = {"UserName": "bob", "PolicyArn": f"{AWS_POLICY}/AmazonSageMakerFullAccess"}
    site.users.attach_user_policy(site.call(admin), full)
    place = "sagemaker-us-gov-west-1-1"
    site.authorizer.authorize(site.call(bob, "s3.PutObject"), {"Bucket": place, "Key": "k"})
    put = site.call(bob, "s3.PutObject")
    refused("AccessDenied", site.authorizer.authorize, put, {"Bucket": "secrets", "Key": "k"})
    role = f"arn:aws-us-gov:iam::{admin.account}:role/BastideExecutionRole"
    passing = site.service_roles.check_pass
    passing(site.call(bob), role, SERVICE, JOB)  # any role, but to SageMaker only
    refused("AccessDeniedException", passing, site.call(bob), role, "bedrock.amazonaws.com", JOB)


def test_pages(site, admin):
    call = site.call(admin)
    for n in range(5):
        site.users.create_user(call, {"UserName": f"u{n}"})
    names, marker = [], None
    while True:
        answer = site.users.list_users(call, {"MaxItems": 2, "Marker": marker})
        names += [user["UserName"] for user in answer["Users"]]
        marker = answer.get("Marker")
        if not answer["IsTruncated"]:
            break
    assert names == ["administrator", *(f"u{n}" for n in range(5))]


def foreign_cases(account):
    """(handler, parameters, another's name) for everything that takes a name."""
    user, role = {"UserName": "Name"}, {"RoleName": "Name"}
    document = policy("s3:*")
    yield "users.get_user", user
    yield "users.delete_user", user
    yield "users.list_user_policies", user
    yield "users.list_attached_user_policies", user
    yield "users.list_user_tags", user
    yield "users.tag_user", user | {"Tags": [{"Key": "k", "Value": "v"}]}
    yield "users.untag_user", user | {"TagKeys": ["k"]}
    yield "users.put_user_policy", user | {"PolicyName": "p", "PolicyDocument": document}
    yield "users.get_user_policy", user | {"PolicyName": "p"}
    yield "users.delete_user_policy", user | {"PolicyName": "p"}
    yield "keys.list_access_keys", user
    yield "keys.create_access_key", user
    yield "keys.delete_access_key", user | {"AccessKeyId": "AKIA" + "A" * 16}
    yield "service_keys.list_service_specific_credentials", user
    group = {"GroupName": "Name"}
    yield "groups.get_group", group
    yield "groups.delete_group", group
    yield "groups.update_group", group | {"NewPath": "/x/"}
    yield "groups.add_user_to_group", group | {"UserName": "administrator"}
    yield "groups.remove_user_from_group", group | {"UserName": "administrator"}
    yield "groups.list_group_policies", group
    yield "groups.get_group_policy", group | {"PolicyName": "p"}
    yield "groups.list_attached_group_policies", group
    yield "groups.list_groups_for_user", user
    yield "users.update_user", user | {"NewPath": "/x/"}
    yield "users.delete_user_permissions_boundary", user
    yield "roles.get_role", role
    yield "roles.delete_role", role
    yield "roles.update_role", role | {"Description": "d"}
    yield "roles.list_role_policies", role
    yield "roles.list_attached_role_policies", role
    yield "roles.list_role_tags", role
    yield "roles.put_role_policy", role | {"PolicyName": "p", "PolicyDocument": document}
    yield "roles.get_role_policy", role | {"PolicyName": "p"}
    yield (
        "roles.update_assume_role_policy",
        role | {"PolicyDocument": trust({"AWS": "*"})},
    )
    arn = f"arn:aws-us-gov:iam::{account}"
    yield "policies.get_policy", {"PolicyArn": f"{arn}:policy/Name"}
    yield "policies.get_policy_version", {"PolicyArn": f"{arn}:policy/Name", "VersionId": "v1"}
    yield "policies.delete_policy", {"PolicyArn": f"{arn}:policy/Name"}
    yield "policies.list_policy_versions", {"PolicyArn": f"{arn}:policy/Name"}
    yield "policies.list_policy_tags", {"PolicyArn": f"{arn}:policy/Name"}
    yield "policies.list_entities_for_policy", {"PolicyArn": f"{arn}:policy/Name"}
    yield (
        "users.put_user_permissions_boundary",
        {"UserName": "administrator", "PermissionsBoundary": f"{arn}:policy/Name"},
    )
    own = {"UserName": "administrator", "PolicyArn": f"{arn}:policy/Name"}
    yield "users.attach_user_policy", own
    yield "users.detach_user_policy", own
    yield (
        "simulation.simulate_principal_policy",
        {
            "PolicySourceArn": f"{arn}:user/Name",
            "ActionNames": ["s3:x"],
        },
    )
    yield "sessions.assume_role", {"RoleArn": f"{arn}:role/Name", "RoleSessionName": "s"}


def test_another_agency_s_things_answer_as_what_does_not_exist(site, admin):
    other = site.administrator("omega")
    call = site.call(other)
    site.user(other, "Name", policy("s3:*"))
    site.roles.create_role(
        call, {"RoleName": "Name", "AssumeRolePolicyDocument": trust({"AWS": "*"})}
    )
    site.groups.create_group(call, {"GroupName": "Name"})
    site.policies.create_policy(call, {"PolicyName": "Name", "PolicyDocument": policy("s3:*")})
    mine = site.call(admin)
    for path, params in foreign_cases(other.account):
        noun, _, verb = path.partition(".")
        handler = getattr(getattr(site, noun), verb)
        with pytest.raises(ServiceError) as theirs:
            handler(mine, params)
        absent = json.loads(
            json.dumps(params)
            .replace('Name"}', 'Xame"}')
            .replace("/Name", "/Xame")
            .replace('": "Name"', '": "Xame"')
        )
        with pytest.raises(ServiceError) as nothing:
            handler(mine, absent)
        assert theirs.value.code == nothing.value.code, path
        assert theirs.value.status == nothing.value.status, path
        assert theirs.value.message == nothing.value.message.replace("Xame", "Name"), path


def test_the_authorizer_never_leaves_the_account(site, admin):
    other = site.administrator("omega")
    site.roles.create_role(
        site.call(other), {"RoleName": "Open", "AssumeRolePolicyDocument": trust({"AWS": "*"})}
    )
    call = site.call(admin, "sts.AssumeRole")
    answers = [
        refused(
            "AccessDenied",
            site.authorizer.authorize,
            call,
            {"RoleArn": f"arn:aws-us-gov:iam::{other.account}:role/{name}"},
        ).message.replace(name, "")
        for name in ("Open", "None")
    ]
    assert answers[0] == answers[1]


def test_an_unknown_principal_may_do_nothing(site, admin):
    ghost = replace(admin, issuer_arn=admin.arn + "x", kind=PrincipalKind.USER)
    assert isinstance(ghost, Principal)
    refused("AccessDenied", site.authorizer.authorize, site.call(ghost, "s3.ListBuckets"), {})


def test_documents_are_checked_before_they_are_stored(site, admin):
    call = site.call(admin)
    for text in ("", "{", "[]", policy("s3"), trust({"AWS": "*"}), policy("s3:*", "x")):
        asked = {"UserName": "administrator", "PolicyName": "p", "PolicyDocument": text}
        refused("MalformedPolicyDocument", site.users.put_user_policy, call, asked)
    long = policy("s3:*", [f"arn:aws:s3:::{n:0100}" for n in range(30)])
    asked = {"UserName": "administrator", "PolicyName": "p", "PolicyDocument": long}
    refused("LimitExceeded", site.users.put_user_policy, call, asked)

"""Groups, permissions boundaries, versions of policies, new names, and the account as a whole."""

import json
from urllib.parse import unquote

import pytest
from tests.identity_kit import policy, refused, trust

from bastide.identity.model import Kind
from bastide.identity.pages import page

AWS = "arn:aws-us-gov:iam::aws:policy"


def may(site, who, operation="s3.PutObject", **params):
    call = site.call(who, operation)
    try:
        site.authorizer.authorize(call, params or {"Bucket": "b", "Key": "k"})
    except Exception as error:
        return str(error)
    return True


def managed(site, admin, name, document):
    made = site.policies.create_policy(
        site.call(admin), {"PolicyName": name, "PolicyDocument": document}
    )
    return made["Policy"]["Arn"]


def test_a_group_s_policies_are_its_members(site, admin):
    call, bob = site.call(admin), site.user(admin, "bob")
    group = {"GroupName": "Team"}
    made = site.groups.create_group(call, group | {"Path": "/unit/"})["Group"]
    assert made["Arn"] == f"arn:aws-us-gov:iam::{admin.account}:group/unit/Team"
    assert made["GroupId"].startswith("AGPA")
    refused("EntityAlreadyExists", site.groups.create_group, call, {"GroupName": "team"})
    site.groups.put_group_policy(
        call, group | {"PolicyName": "p", "PolicyDocument": policy("s3:PutObject")}
    )
    assert may(site, bob) is not True
    member = group | {"UserName": "bob"}
    for _ in range(2):
        site.groups.add_user_to_group(call, member)
    assert may(site, bob) is True
    shown = site.groups.get_group(call, group)
    assert [user["UserName"] for user in shown["Users"]] == ["bob"]
    listed = site.groups.list_groups_for_user(call, {"UserName": "bob"})["Groups"]
    assert [each["GroupName"] for each in listed] == ["Team"]
    simulated = site.simulation.simulate_principal_policy(
        call, {"PolicySourceArn": bob.arn, "ActionNames": ["s3:PutObject"]}
    )
    assert simulated["EvaluationResults"][0]["EvalDecision"] == "allowed"
    refused("DeleteConflict", site.groups.delete_group, call, group)
    refused("DeleteConflict", site.users.delete_user, call, {"UserName": "bob"})
    site.groups.remove_user_from_group(call, member)
    refused("NoSuchEntity", site.groups.remove_user_from_group, call, member)
    assert may(site, bob) is not True
    refused("DeleteConflict", site.groups.delete_group, call, group)
    site.groups.delete_group_policy(call, group | {"PolicyName": "p"})
    site.groups.delete_group(call, group)
    refused("NoSuchEntity", site.groups.get_group, call, group)


def test_a_group_s_attached_policy_is_found_and_denies(site, admin):
    call, bob = site.call(admin), site.user(admin, "bob", policy("s3:*"))
    arn = managed(site, admin, "No", policy("s3:Put*", effect="Deny"))
    group = {"GroupName": "Team"}
    site.groups.create_group(call, group)
    site.groups.add_user_to_group(call, group | {"UserName": "bob"})
    site.groups.attach_group_policy(call, group | {"PolicyArn": arn})
    assert "explicit deny" in may(site, bob)
    listed = site.groups.list_attached_group_policies(call, group)["AttachedPolicies"]
    assert listed == [{"PolicyName": "No", "PolicyArn": arn}]
    where = site.policies.list_entities_for_policy(call, {"PolicyArn": arn})
    assert [each["GroupName"] for each in where["PolicyGroups"]] == ["Team"]
    assert where["PolicyUsers"] == where["PolicyRoles"] == []
    site.groups.detach_group_policy(call, group | {"PolicyArn": arn})
    assert may(site, bob) is True


def test_a_user_is_in_ten_groups_at_most(site, admin):
    call = site.call(admin)
    site.user(admin, "bob")
    for n in range(11):
        site.groups.create_group(call, {"GroupName": f"g{n}"})
    joins = [{"GroupName": f"g{n}", "UserName": "bob"} for n in range(11)]
    for join in joins[:10]:
        site.groups.add_user_to_group(call, join)
    refused("LimitExceeded", site.groups.add_user_to_group, call, joins[10])


def test_a_boundary_bounds_users_and_roles(site, admin):
    call = site.call(admin)
    bob = site.user(admin, "bob", policy("s3:*"))
    reads = managed(site, admin, "Reads", policy("s3:Get*"))
    site.users.put_user_permissions_boundary(
        call, {"UserName": "bob", "PermissionsBoundary": reads}
    )
    assert "no permissions boundary allows" in may(site, bob)
    assert may(site, bob, "s3.GetObject") is True
    shown = site.users.get_user(call, {"UserName": "bob"})["User"]["PermissionsBoundary"]
    assert shown["PermissionsBoundaryArn"] == reads
    refused("DeleteConflict", site.policies.delete_policy, call, {"PolicyArn": reads})
    asked = {"PolicyArn": reads, "PolicyUsageFilter": "PermissionsBoundary"}
    where = site.policies.list_entities_for_policy(call, asked)
    assert [each["UserName"] for each in where["PolicyUsers"]] == ["bob"]
    site.users.delete_user_permissions_boundary(call, {"UserName": "bob"})
    assert may(site, bob) is True
    role = {"RoleName": "R", "AssumeRolePolicyDocument": trust({"AWS": admin.account})}
    made = site.roles.create_role(call, role | {"PermissionsBoundary": f"{AWS}/ReadOnlyAccess"})
    site.roles.put_role_policy(
        call, {"RoleName": "R", "PolicyName": "p", "PolicyDocument": policy("s3:*")}
    )
    asked = {"RoleArn": made["Role"]["Arn"], "RoleSessionName": "s"}
    session = site.session(site.sessions.assume_role(call, asked)).principal
    assert "no permissions boundary allows" in may(site, session)
    assert may(site, session, "s3.GetObject") is True
    site.roles.delete_role_permissions_boundary(call, {"RoleName": "R"})
    assert may(site, session) is True
    absent = {"UserName": "x", "PermissionsBoundary": reads + "x"}
    refused("NoSuchEntity", site.users.create_user, call, absent)


def test_a_delegate_may_only_make_bounded_users(site, admin):
    """AWS's own example: delegating responsibility by permissions boundaries."""
    call = site.call(admin)
    bound = managed(site, admin, "Bound", policy("s3:*"))
    only = {"StringEquals": {"iam:PermissionsBoundary": bound}}
    dora = site.user(admin, "dora", policy(["iam:CreateUser", "iam:*Policy"], Condition=only))
    assert may(site, dora, "iam.CreateUser", UserName="x") is not True
    bounded = {"UserName": "new", "PermissionsBoundary": bound}
    assert may(site, dora, "iam.CreateUser", **bounded) is True
    site.users.create_user(call, bounded)
    put = {"PolicyName": "p", "PolicyDocument": policy("s3:*")}
    assert may(site, dora, "iam.PutUserPolicy", UserName="new", **put) is True
    assert may(site, dora, "iam.PutUserPolicy", UserName="administrator", **put) is not True


def test_versions_of_a_policy(site, admin):
    call, bob = site.call(admin), site.user(admin, "bob")
    arn = managed(site, admin, "P", policy("s3:GetObject"))
    site.users.attach_user_policy(call, {"UserName": "bob", "PolicyArn": arn})
    named = {"PolicyArn": arn}
    second = named | {"PolicyDocument": policy("s3:PutObject")}
    made = site.policies.create_policy_version(call, second)["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v2", False)
    assert may(site, bob) is not True
    site.policies.set_default_policy_version(call, named | {"VersionId": "v2"})
    assert may(site, bob) is True
    assert site.policies.get_policy(call, named)["Policy"]["DefaultVersionId"] == "v2"
    refused(
        "DeleteConflict", site.policies.delete_policy_version, call, named | {"VersionId": "v2"}
    )
    for _ in range(3):
        site.policies.create_policy_version(call, second | {"SetAsDefault": True})
    refused("LimitExceeded", site.policies.create_policy_version, call, second)
    site.policies.delete_policy_version(call, named | {"VersionId": "v4"})
    again = site.policies.create_policy_version(call, second)["PolicyVersion"]
    assert again["VersionId"] == "v6", "a number is never used again"
    listed = site.policies.list_policy_versions(call, named | {"MaxItems": 4})
    assert [each["VersionId"] for each in listed["Versions"]] == ["v6", "v5", "v3", "v2"]
    rest = site.policies.list_policy_versions(call, named | {"Marker": listed["Marker"]})
    assert [each["VersionId"] for each in rest["Versions"]] == ["v1"]
    first = site.policies.get_policy_version(call, named | {"VersionId": "v1"})["PolicyVersion"]
    assert json.loads(unquote(first["Document"])) == json.loads(policy("s3:GetObject"))
    for absent in ("v4", "v9", "1", "v01"):
        asked = named | {"VersionId": absent}
        refused("NoSuchEntity", site.policies.get_policy_version, call, asked)
        refused("NoSuchEntity", site.policies.set_default_policy_version, call, asked)
    site.users.detach_user_policy(call, {"UserName": "bob", "PolicyArn": arn})
    refused("DeleteConflict", site.policies.delete_policy, call, named)
    for version in ("v1", "v2", "v3", "v6"):
        site.policies.delete_policy_version(call, named | {"VersionId": version})
    site.policies.delete_policy(call, named)
    theirs = {"PolicyArn": f"{AWS}/AmazonS3FullAccess", "PolicyDocument": policy("s3:*")}
    refused("AccessDenied", site.policies.create_policy_version, call, theirs)


def test_tags_of_a_policy(site, admin):
    call = site.call(admin)
    named = {"PolicyArn": managed(site, admin, "P", policy("s3:GetObject"))}
    site.policies.tag_policy(call, named | {"Tags": [{"Key": "A", "Value": "1"}]})
    site.policies.tag_policy(call, named | {"Tags": [{"Key": "a", "Value": "2"}]})
    assert site.policies.list_policy_tags(call, named)["Tags"] == [{"Key": "a", "Value": "2"}]
    site.policies.untag_policy(call, named | {"TagKeys": ["A"]})
    assert site.policies.list_policy_tags(call, named)["Tags"] == []


def test_a_renamed_user_keeps_all_it_has(site, admin):
    call = site.call(admin)
    bob = site.user(admin, "bob", policy("s3:*"))
    group = {"GroupName": "Team"}
    site.groups.create_group(call, group)
    site.groups.add_user_to_group(call, group | {"UserName": "bob"})
    site.groups.put_group_policy(
        call, group | {"PolicyName": "p", "PolicyDocument": policy("logs:*")}
    )
    role = {"RoleName": "R", "AssumeRolePolicyDocument": trust({"AWS": bob.arn})}
    site.roles.create_role(call, role)
    session = site.sessions.get_session_token(site.call(bob), {})
    renamed = {"UserName": "bob", "NewUserName": "Robert", "NewPath": "/x/"}
    site.users.update_user(call, renamed)
    site.groups.update_group(call, group | {"NewGroupName": "Crew"})
    now = site.credentials.find(bob.access_key_id, None, site.clock.now()).principal
    assert now.arn == f"arn:aws-us-gov:iam::{admin.account}:user/x/Robert"
    assert now.user_id == bob.user_id
    assert site.session(session).principal.arn == now.arn
    assert may(site, now) is True
    assert may(site, now, "logs.DescribeLogGroups", logGroupNamePrefix="x") is True
    asked = {
        "RoleArn": f"arn:aws-us-gov:iam::{admin.account}:role/R", "RoleSessionName": "s",
    }  # fmt: skip
    site.sessions.assume_role(site.call(now, "sts.AssumeRole"), asked)
    refused("NoSuchEntity", site.users.get_user, call, {"UserName": "bob"})
    site.user(admin, "bob")
    taken = {"UserName": "bob", "NewUserName": "ROBERT"}
    refused("EntityAlreadyExists", site.users.update_user, call, taken)


def test_a_new_name_must_be_allowed_too(site, admin):
    arn = f"arn:aws-us-gov:iam::{admin.account}:user"
    dora = site.user(admin, "dora", policy("iam:UpdateUser", [f"{arn}/bob", f"{arn}/rob*"]))
    site.user(admin, "bob")
    renames = {"UserName": "bob", "NewUserName": "robert"}
    assert may(site, dora, "iam.UpdateUser", **renames) is True
    assert may(site, dora, "iam.UpdateUser", UserName="bob", NewUserName="x") is not True
    assert may(site, dora, "iam.UpdateUser", UserName="bob", NewPath="/x/") is not True


def test_no_page_leaves_anything_out_where_others_delete():
    """Behind a place of a long name that has gone, more than the rest is told, never less."""
    names = [f"{'n' * 200}{letter}" for letter in "abc"]
    first, rest = page(names, {"MaxItems": 2}, str)
    assert first == names[:2]
    assert page(names, {"Marker": rest["Marker"]}, str) == (names[2:], {"IsTruncated": False})
    left = [names[0], names[2], "o"]
    assert page(left, {"Marker": rest["Marker"]}, str) == (left, {"IsTruncated": False})
    assert page(["a", "c"], {"Marker": "b"}, str) == (["c"], {"IsTruncated": False})


@pytest.mark.parametrize("size", [2, 1000])
def test_the_account_as_a_whole(site, admin, size):
    call = site.call(admin)
    site.user(admin, "bob", policy("s3:*"))
    site.groups.create_group(call, {"GroupName": "Team"})
    site.groups.add_user_to_group(call, {"GroupName": "Team", "UserName": "bob"})
    arn = managed(site, admin, "P", policy("s3:GetObject"))
    used = f"{AWS}/AmazonS3FullAccess"
    for each in (arn, used):
        site.users.attach_user_policy(call, {"UserName": "bob", "PolicyArn": each})
    found, marker = {}, None
    while True:
        asked = {"MaxItems": size, "Marker": marker}
        answer = site.account.get_account_authorization_details(call, asked)
        for name, rows in answer.items():
            if isinstance(rows, list):
                found.setdefault(name, []).extend(rows)
        marker = answer.get("Marker")
        if not answer["IsTruncated"]:
            break
    users = {each["UserName"]: each for each in found["UserDetailList"]}
    assert users["bob"]["GroupList"] == ["Team"]
    assert [each["PolicyArn"] for each in users["bob"]["AttachedManagedPolicies"]] == [arn, used]
    assert {each["Arn"] for each in found["Policies"]} == {arn, used}
    assert found["Policies"][0]["PolicyVersionList"][0]["IsDefaultVersion"]
    assert [each["RoleName"] for each in found["RoleDetailList"]] == ["BastideExecutionRole"]
    assert [each["GroupName"] for each in found["GroupDetailList"]] == ["Team"]
    only = site.account.get_account_authorization_details(call, {"Filter": ["Group"]})
    assert only["UserDetailList"] == only["Policies"] == []
    summary = site.account.get_account_summary(call, {})["SummaryMap"]
    counts = {name: summary[name] for name in ("Users", "Groups", "Roles", "Policies")}
    assert counts == {"Users": 2, "Groups": 1, "Roles": 1, "Policies": 1}


def test_an_alias_is_an_account_s_own(site, admin):
    call, other = site.call(admin), site.call(site.administrator("omega"))
    for each in (call, other):
        site.account.create_account_alias(each, {"AccountAlias": "bureau"})
    assert site.account.list_account_aliases(call, {})["AccountAliases"] == ["bureau"]
    refused("NoSuchEntity", site.account.delete_account_alias, call, {"AccountAlias": "x"})
    site.account.delete_account_alias(call, {"AccountAlias": "bureau"})
    assert site.account.list_account_aliases(call, {})["AccountAliases"] == []
    assert site.account.list_account_aliases(other, {})["AccountAliases"] == ["bureau"]


def test_a_label_is_not_taken_where_it_would_change_nothing(site, admin):
    """IAM's things lie at the agency's default; the words say where labels are given instead."""
    call, label = site.call(admin), [{"Key": "Bastide:Label", "Value": "S"}]
    site.users.create_user(call, {"UserName": "bob"})
    role = {"RoleName": "R", "AssumeRolePolicyDocument": trust({"AWS": admin.account})}
    site.roles.create_role(call, role)
    made = {"PolicyName": "P", "PolicyDocument": policy()}
    arn = site.policies.create_policy(call, made)["Policy"]["Arn"]
    for work, asked in (
        (site.users.create_user, {"UserName": "eve"}),
        (site.users.tag_user, {"UserName": "bob"}),
        (site.roles.create_role, {**role, "RoleName": "Q"}),
        (site.roles.tag_role, {"RoleName": "R"}),
        (site.policies.create_policy, {**made, "PolicyName": "Q"}),
        (site.policies.tag_policy, {"PolicyArn": arn}),
    ):
        error = refused("InvalidInput", work, call, {**asked, "Tags": label})
        assert "bastide clearance grant" in error.message
    assert site.directory.find(admin.account, Kind.USER, "eve") is None
    assert site.users.list_user_tags(call, {"UserName": "bob"})["Tags"] == []

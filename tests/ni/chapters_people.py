"""What is done with an agency's people, roles and policies, none of which has a label of its own:
all lie at the agency's default, and a session above it changes none of them."""

import json
from typing import Any

from tests.ni.thinking import Cast, Chapter, Steps

DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"},
]})  # fmt: skip
PAIR = [{"Key": "colour", "Value": "red"}]
MANAGED = "arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess"


def _iam(operation: str, **asked: Any) -> tuple[str, str, dict[str, Any]]:
    return "iam", operation, asked


def _role(it: Cast, name: str) -> tuple[str, str, dict[str, Any]]:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": it.account}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return _iam("create_role", RoleName=name, AssumeRolePolicyDocument=document)


def _made(it: Cast, name: str) -> Steps:
    yield _iam("create_user", UserName=name)
    yield _iam("create_group", GroupName=name)
    yield _role(it, name)
    yield _iam("create_policy", PolicyName=name, PolicyDocument=DOCUMENT)
    yield _iam("add_user_to_group", UserName=name, GroupName=name)
    for kind in ("user", "group", "role"):
        named = {f"{kind.capitalize()}Name": name}
        yield _iam(f"put_{kind}_policy", **named, PolicyName="own", PolicyDocument=DOCUMENT)
        yield _iam(f"attach_{kind}_policy", **named, PolicyArn=MANAGED)


def _people_begin(it: Cast) -> Steps:
    yield from _made(it, "ann")


def _people_above(it: Cast, label: str) -> Steps:
    for name in ("ann", "above"):
        yield from _made(it, name)
        yield _iam("create_access_key", UserName=name)
        yield _iam("tag_user", UserName=name, Tags=PAIR)
        yield _iam("delete_user_policy", UserName=name, PolicyName="own")
    yield _iam("create_account_alias", AccountAlias=f"above-{it.account}")
    yield _iam("get_user", UserName="ann")
    yield "sts", "get_caller_identity", {}
    yield _assumed(it)


def _assumed(it: Cast) -> tuple[str, str, dict[str, Any]]:
    """The role of the sessions above."""
    role = it.arn("iam", "role/High").replace(":us-gov-west-1:", "::")
    return "sts", "assume_role", {"RoleArn": role, "RoleSessionName": "one"}


def _people_below(it: Cast) -> Steps:
    for name in (
        "get_account_authorization_details", "get_account_summary", "list_account_aliases",
        "list_groups", "list_roles", "list_users",
    ):  # fmt: skip
        yield _iam(name)
    yield _iam("list_policies", Scope="Local")
    for name in ("ann", "above"):
        yield from _looked_at(it, name)
    yield "sts", "get_caller_identity", {}
    yield "sts", "get_session_token", {}
    yield _assumed(it)
    yield _iam("simulate_custom_policy", PolicyInputList=[DOCUMENT], ActionNames=["s3:ListBucket"])
    yield from _made(it, "above")


def _looked_at(it: Cast, name: str) -> Steps:
    for kind in ("user", "group", "role"):
        named = {f"{kind.capitalize()}Name": name}
        yield _iam(f"get_{kind}", **named)
        yield _iam(f"list_{kind}_policies", **named)
        yield _iam(f"list_attached_{kind}_policies", **named)
        yield _iam(f"get_{kind}_policy", **named, PolicyName="own")
    for kind in ("user", "role"):
        yield _iam(f"list_{kind}_tags", **{f"{kind.capitalize()}Name": name})
    for looks in ("list_access_keys", "list_groups_for_user", "list_service_specific_credentials"):
        yield _iam(looks, UserName=name)
    policy = it.arn("iam", f"policy/{name}").replace(":us-gov-west-1:", "::")
    for looks in (
        "get_policy", "list_policy_versions", "list_policy_tags", "list_entities_for_policy",
    ):  # fmt: skip
        yield _iam(looks, PolicyArn=policy)
    yield _iam("get_policy_version", PolicyArn=policy, VersionId="v1")
    user = it.arn("iam", f"user/{name}").replace(":us-gov-west-1:", "::")
    yield _iam(
        "simulate_principal_policy", PolicySourceArn=user, ActionNames=["s3:ListBucket"],
    )  # fmt: skip


CHAPTERS: dict[str, Chapter] = {
    "people": Chapter(_people_begin, _people_above, _people_below),
}

"""What an agency is, as it travels: its groups, users, roles, policies and buckets. Pure.

No key, password or secret is in it, and no clearance: those are granted where it arrives. ARNs are
written without partition, region and account, which are another's there. Nothing is ever deleted
by it, as low must not destroy what it cannot see.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from bastide.transfer.model import Refused

PARTS_MAX = 10_000
MARK = "@account@"  # where an account's number stands
Name = Annotated[str, msgspec.Meta(pattern=r"^[\w+=,.@-]{1,128}\Z")]
Texts = dict[str, str]
Documents = dict[Name, str]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Policy(_Strict, frozen=True, kw_only=True):
    name: Name
    path: str
    document: str
    description: str = ""
    tags: Texts = {}


class Holder(_Strict, frozen=True, kw_only=True):
    """A user, a role or a group. `trust`, `description` and `session_s` are a role's, `groups` a
    user's."""

    kind: Annotated[str, msgspec.Meta(pattern=r"^(User|Role|Group)\Z")]
    name: Name
    path: str
    inline: Documents = {}
    attached: list[str] = []
    tags: Texts = {}
    boundary: str = ""
    groups: list[Name] = []
    trust: str = ""
    description: str = ""
    session_s: int = 0


class Bucket(_Strict, frozen=True, kw_only=True):
    name: Name
    versioning: str = ""
    policy: str = ""
    tags: Texts = {}


class Setup(_Strict, frozen=True, kw_only=True):
    agency: str
    policies: Annotated[list[Policy], msgspec.Meta(max_length=PARTS_MAX)] = []
    holders: Annotated[list[Holder], msgspec.Meta(max_length=PARTS_MAX)] = []
    buckets: Annotated[list[Bucket], msgspec.Meta(max_length=PARTS_MAX)] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an agency is: what its ARNs say there. `account`: of one that is not there yet, the
    mark itself."""

    partition: str
    region: str
    account: str = MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call, and what it does in words."""

    does: str
    operation: str
    params: Mapping[str, Any]


def encoded(setup: Setup, place: Place) -> bytes:
    text = msgspec.json.encode(setup, order="sorted").decode()
    for own, mark in _marks(place):
        text = text.replace(own, mark)
    return text.encode()


def decoded(data: bytes, place: Place | None = None) -> Setup:
    """As it arrived; with `place`, in that place's names. Raises Refused."""
    try:
        text = data.decode()
        for own, mark in _marks(place) if place else ():
            text = text.replace(mark, own)
        found = msgspec.json.decode(text, type=Setup)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"it is no agency's set-up: {error}") from None
    for what in (
        [(one.kind, one.name) for one in found.holders],
        [one.name for one in found.policies],
        [one.name for one in found.buckets],
    ):
        if len(set(what)) != len(what):
            raise Refused("it is no agency's set-up: a name stands twice")
    return found


def _marks(place: Place) -> list[tuple[str, str]]:
    return [
        (f"arn:{place.partition}:", "arn:@partition@:"),
        (place.region, "@region@"),
        (place.account, MARK),
    ]


def steps(wanted: Setup, have: Setup, place: Place) -> list[Step]:
    """What is to be called, in order, so that what is wanted is there. None of it, if it is."""
    return [
        *_policies(wanted, have, place),
        *_holders(wanted, have),
        *_buckets(wanted, have, place),
    ]


def _policies(wanted: Setup, have: Setup, place: Place) -> Iterator[Step]:
    there = {one.name: one for one in have.policies}
    for one in wanted.policies:
        now = there.get(one.name)
        if now is None:
            params: dict[str, Any] = {"PolicyName": one.name, "Path": one.path}
            params |= {"PolicyDocument": one.document}
            params |= {"Description": one.description} if one.description else {}
            params |= {"Tags": _tag_list(one.tags)} if one.tags else {}
            yield Step(does=f"create the policy {one.name}{_more(params)}: {one.document}",
                       operation="iam.CreatePolicy", params=params)  # fmt: skip
        elif not _same(one.document, now.document):
            arn = f"arn:{place.partition}:iam::{place.account}:policy{now.path}{one.name}"
            yield Step(
                does=f"change the policy {one.name} to: {one.document}",
                operation="iam.CreatePolicyVersion",
                params={"PolicyArn": arn, "PolicyDocument": one.document, "SetAsDefault": True},
            )


def _holders(wanted: Setup, have: Setup) -> Iterator[Step]:
    there = {(one.kind, one.name): one for one in have.holders}
    order = {"Group": 0, "User": 1, "Role": 2}
    for one in sorted(wanted.holders, key=lambda one: order[one.kind]):
        now = there.get((one.kind, one.name))
        noun, named = one.kind.lower(), {f"{one.kind}Name": one.name}
        yield from _created(one, named) if now is None else _changed(one, now, named)
        held = now or Holder(kind=one.kind, name=one.name, path=one.path)
        for group in sorted(set(one.groups) - set(held.groups)):
            yield Step(does=f"add the user {one.name} to the group {group}",
                       operation="iam.AddUserToGroup",
                       params=named | {"GroupName": group})  # fmt: skip
        for name, document in sorted(one.inline.items()):
            if not _same(document, held.inline.get(name, "")):
                yield Step(does=f"give the {noun} {one.name} the policy {name}: {document}",
                           operation=f"iam.Put{one.kind}Policy",
                           params=named | {"PolicyName": name, "PolicyDocument": document}
                           )  # fmt: skip
        for arn in sorted(set(one.attached) - set(held.attached)):
            yield Step(does=f"attach {arn} to the {noun} {one.name}",
                       operation=f"iam.Attach{one.kind}Policy",
                       params=named | {"PolicyArn": arn})  # fmt: skip


def _created(one: Holder, named: Texts) -> Iterator[Step]:
    params: dict[str, Any] = {**named, "Path": one.path}
    if one.kind != "Group":
        params |= {"Tags": _tag_list(one.tags)} if one.tags else {}
        params |= {"PermissionsBoundary": one.boundary} if one.boundary else {}
    if one.kind == "Role":
        params |= {"AssumeRolePolicyDocument": one.trust, "MaxSessionDuration": one.session_s}
        params |= {"Description": one.description} if one.description else {}
    said = f"create the {one.kind.lower()} {one.name}{_more(params)}"
    said += f", whom this trusts: {one.trust}" if one.kind == "Role" else ""
    yield Step(does=said, operation=f"iam.Create{one.kind}", params=params)


def _more(params: Mapping[str, Any]) -> str:
    """What else a new one has: a tag or a boundary may say as much as a policy."""
    words = {
        "Path": "under the path", "Tags": "tagged", "PermissionsBoundary": "bounded by",
        "MaxSessionDuration": "with sessions of so many seconds:", "Description": "described as",
    }  # fmt: skip
    has = {name: params[name] for name in words if name in params}
    if has["Path"] == "/":
        del has["Path"]
    return "".join(f", {words[name]} {json.dumps(value)}" for name, value in has.items())


def _changed(one: Holder, now: Holder, named: Texts) -> Iterator[Step]:
    noun = f"the {one.kind.lower()} {one.name}"
    if one.boundary and one.boundary != now.boundary:
        yield Step(does=f"bound {noun} by {one.boundary}",
                   operation=f"iam.Put{one.kind}PermissionsBoundary",
                   params=named | {"PermissionsBoundary": one.boundary})  # fmt: skip
    if not one.tags.items() <= now.tags.items():
        yield Step(does=f"tag {noun}: {json.dumps(one.tags, sort_keys=True)}",
                   operation=f"iam.Tag{one.kind}",
                   params={**named, "Tags": _tag_list(one.tags)})  # fmt: skip
    if one.kind != "Role":
        return
    if not _same(one.trust, now.trust):
        yield Step(does=f"let {noun} be trusted by this: {one.trust}",
                   operation="iam.UpdateAssumeRolePolicy",
                   params=named | {"PolicyDocument": one.trust})  # fmt: skip
    if (one.session_s, one.description) != (now.session_s, now.description):
        yield Step(does=f"let sessions of {noun} last {one.session_s} s: {one.description}",
                   operation="iam.UpdateRole",
                   params={**named, "MaxSessionDuration": one.session_s,
                           "Description": one.description})  # fmt: skip


def _buckets(wanted: Setup, have: Setup, place: Place) -> Iterator[Step]:
    there = {one.name: one for one in have.buckets}
    for one in wanted.buckets:
        now, named = there.get(one.name), {"Bucket": one.name}
        if now is None:
            where = {"LocationConstraint": place.region}
            yield Step(does=f"create the bucket {one.name}", operation="s3.CreateBucket",
                       params={**named, "CreateBucketConfiguration": where})  # fmt: skip
            now = Bucket(name=one.name)
        if one.versioning and one.versioning != now.versioning:
            yield Step(does=f"set the versioning of the bucket {one.name}: {one.versioning}",
                       operation="s3.PutBucketVersioning",
                       params={**named, "VersioningConfiguration": {"Status": one.versioning}}
                       )  # fmt: skip
        if not one.tags.items() <= now.tags.items():
            tags = now.tags | one.tags
            yield Step(does=f"tag the bucket {one.name}: {json.dumps(tags, sort_keys=True)}",
                       operation="s3.PutBucketTagging",
                       params={**named, "Tagging": {"TagSet": _tag_list(tags)}})  # fmt: skip
        if one.policy and not _same(one.policy, now.policy):
            yield Step(does=f"give the bucket {one.name} the policy: {one.policy}",
                       operation="s3.PutBucketPolicy",
                       params={**named, "Policy": one.policy})  # fmt: skip


def _same(one: str, other: str) -> bool:
    """Whether two documents say the same, however they are written."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return one == other


def _tag_list(tags: Texts) -> list[Texts]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]

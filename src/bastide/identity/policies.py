"""Customer-managed policies and their versions, and AWS's own that users' code names.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from bastide.identity import builtin, policy_records
from bastide.identity.entities import (
    Entities,
    conflict,
    document_size,
    limit,
    not_found,
    tag_list,
    tagged,
    tags_of,
    untagged,
)
from bastide.identity.model import Kind, ManagedPolicy, PolicyVersion
from bastide.identity.pages import page
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import epoch_ms, moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.kernel.regions import Region

Params = dict[str, Any]
SIZE_MAX = 6_144
POLICIES_MAX = 1_500
VERSIONS_MAX = 5
Uses = tuple[Mapping[str, int], Mapping[str, int]]  # how often attached, how often a boundary


def shown(policy: ManagedPolicy, uses: Uses = ({}, {})) -> Params:
    row: Params = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.version}",
        "AttachmentCount": uses[0].get(policy.arn, 0),
        "PermissionsBoundaryUsageCount": uses[1].get(policy.arn, 0),
        "IsAttachable": True,
        "CreateDate": moment(policy.created_ms),
        "UpdateDate": moment(policy.changed_ms),
    }
    if policy.description:
        row["Description"] = policy.description
    if policy.tags:
        row["Tags"] = tag_list(policy.tags)
    return row


def shown_version(policy: ManagedPolicy, version: PolicyVersion, *, whole: bool = True) -> Params:
    row: Params = {
        "VersionId": f"v{version.number}",
        "IsDefaultVersion": version.number == policy.version,
        "CreateDate": moment(version.created_ms),
    }
    return row | ({"Document": quote(version.document, safe="")} if whole else {})


def uses_of(connection: Connection, account: str) -> Uses:
    return (
        policy_records.attachments(connection, account),
        policy_records.boundaries(connection, account),
    )


def aws_policy(region: Region, name: str) -> ManagedPolicy:
    return ManagedPolicy(
        account="aws",
        name=name.rpartition("/")[2],
        path=f"/{name.rpartition('/')[0]}/".replace("//", "/"),
        id="ANPA" + name.rpartition("/")[2].upper()[:17],
        arn=builtin.arn_of(region, name),
        document=builtin.DOCUMENTS[name],
        description="",
        created_ms=0,
    )


def versions_of(connection: Connection, policy: ManagedPolicy) -> list[PolicyVersion]:
    if policy.account == "aws":
        only = PolicyVersion(number=1, document=policy.document, created_ms=policy.created_ms)
        return [only]
    return policy_records.versions_of(connection, policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPolicies:
    """Policies by ARN."""

    entities: Entities

    @operation("PolicyName", "Path", "PolicyDocument", "Description", "Tags")
    def create_policy(self, call: Call, req: Params) -> Params:
        policy = self._new(call, req)
        first = PolicyVersion(number=1, document=policy.document, created_ms=policy.created_ms)

        def work(connection: Connection) -> None:
            if policy_records.managed_named(connection, call.account, policy.name):
                message = (
                    f"A policy called {policy.name} already exists. Duplicate names are not "
                    "allowed."
                )
                raise ServiceError("EntityAlreadyExists", message, status=409)
            if len(policy_records.list_managed(connection, call.account)) >= POLICIES_MAX:
                raise limit(f"Cannot exceed quota for PoliciesPerAccount: {POLICIES_MAX}")
            policy_records.add_managed(connection, policy)
            policy_records.add_version(connection, policy, first)

        self.entities.write(call.account, work)
        return {"Policy": shown(policy)}

    def _new(self, call: Call, req: Params) -> ManagedPolicy:
        name, path, now = req["PolicyName"], req.get("Path") or "/", self._now()
        return ManagedPolicy(
            account=call.account,
            name=name,
            path=path,
            id="ANPA" + self.entities.ids.word(17),
            arn=arns.iam(call.region, call.account, f"policy{path}{name}"),
            document=self._checked(req["PolicyDocument"]),
            description=req.get("Description") or "",
            created_ms=now,
            changed_ms=now,
            tags=tags_of(req),
        )

    def _now(self) -> int:
        return epoch_ms(self.entities.clock.now())

    def _checked(self, text: str) -> str:
        self.entities.checks.check(text, "managed")
        if document_size(text) > SIZE_MAX:
            raise limit(f"Cannot exceed quota for PolicySize: {SIZE_MAX}")
        return text

    def _find(self, connection: Connection, call: Call, arn: str) -> ManagedPolicy:
        name = builtin.name_of(call.region, arn)
        if name is not None:
            return aws_policy(call.region, name)
        found = policy_records.find_managed(connection, call.account, arn)
        if found is None:
            raise not_found(f"Policy {arn} was not found.")
        return found

    def _change(
        self, call: Call, req: Params, work: Callable[[Connection, ManagedPolicy], ManagedPolicy]
    ) -> None:
        """Write what `work` makes of a policy of the account; AWS's own cannot be changed."""
        arn = req["PolicyArn"]
        if builtin.name_of(call.region, arn) is not None:
            raise ServiceError("AccessDenied", f"Policy {arn} is managed by AWS.", status=403)

        def change(connection: Connection) -> None:
            policy = self._find(connection, call, arn)
            policy_records.change_managed(connection, work(connection, policy))

        self.entities.write(call.account, change)

    @operation("PolicyArn")
    def get_policy(self, call: Call, req: Params) -> Params:
        def work(connection: Connection) -> Params:
            policy = self._find(connection, call, req["PolicyArn"])
            return {"Policy": shown(policy, uses_of(connection, call.account))}

        return self.entities.database.read(work)

    @operation("PolicyArn")
    def delete_policy(self, call: Call, req: Params) -> Params:
        def work(connection: Connection, policy: ManagedPolicy) -> ManagedPolicy:
            attached, bounding = uses_of(connection, call.account)
            if policy.arn in attached or policy.arn in bounding:
                raise conflict("Cannot delete a policy attached to entities.")
            if len(policy_records.versions_of(connection, policy)) > 1:
                raise conflict(
                    "This policy has more than one version. Before you delete a policy, you must "
                    "delete the policy's versions. The default version is deleted with the policy."
                )
            policy_records.delete_managed(connection, policy)
            return policy

        self._change(call, req, work)
        return {}

    @operation("Scope", "OnlyAttached", "PathPrefix", "PolicyUsageFilter", "MaxItems", "Marker")
    def list_policies(self, call: Call, req: Params) -> Params:
        scope, prefix = req.get("Scope") or "All", req.get("PathPrefix") or "/"

        def work(connection: Connection) -> tuple[list[ManagedPolicy], Uses]:
            own = policy_records.list_managed(connection, call.account) if scope != "AWS" else []
            return own, uses_of(connection, call.account)

        listed, uses = self.entities.database.read(work)
        if scope != "Local":
            listed = listed + [aws_policy(call.region, name) for name in builtin.DOCUMENTS]
        usage = req.get("PolicyUsageFilter")
        attached, bounding = (set(kind) for kind in uses)
        kinds = {"PermissionsPolicy": attached, "PermissionsBoundary": bounding}
        used = kinds[usage] if usage else attached | bounding
        everything = not (usage or req.get("OnlyAttached"))
        kept = [
            each
            for each in listed
            if each.path.startswith(prefix) and (everything or each.arn in used)
        ]
        kept.sort(key=lambda policy: policy.arn)
        found, rest = page(kept, req, lambda policy: policy.arn)
        return {"Policies": [shown(each, uses) for each in found], **rest}

    @operation("PolicyArn", "EntityFilter", "PathPrefix", "PolicyUsageFilter", "MaxItems", "Marker")
    def list_entities_for_policy(self, call: Call, req: Params) -> Params:
        arn, usage = req["PolicyArn"], req.get("PolicyUsageFilter")

        def work(connection: Connection) -> list[tuple[Kind, str]]:
            self._find(connection, call, arn)
            found: list[tuple[Kind, str]] = []
            if usage != "PermissionsBoundary":
                found += policy_records.attached_where(connection, call.account, arn)
            if usage != "PermissionsPolicy":
                found += policy_records.bounded_by(connection, call.account, arn)
            return found

        wanted = _ENTITY_FILTER.get(req.get("EntityFilter") or "", tuple(Kind))
        pairs = {pair for pair in self.entities.database.read(work) if pair[0] in wanted}
        prefix = req.get("PathPrefix") or "/"
        entities = [self.entities.directory.get(call.account, *pair) for pair in sorted(pairs)]
        kept = [each for each in entities if each.path.startswith(prefix)]
        found, rest = page(kept, req, lambda each: f"{each.kind}/{each.name}")
        answer: Params = {f"Policy{kind.value.capitalize()}s": [] for kind in Kind}
        for each in found:
            noun = each.kind.value.capitalize()
            answer[f"Policy{noun}s"].append({f"{noun}Name": each.name, f"{noun}Id": each.id})
        return answer | rest

    @operation("PolicyArn", "Tags")
    def tag_policy(self, call: Call, req: Params) -> Params:
        added = tags_of(req)
        self._change(call, req, lambda _, old: replace(old, tags=tagged(old.tags, added)))
        return {}

    @operation("PolicyArn", "TagKeys")
    def untag_policy(self, call: Call, req: Params) -> Params:
        gone = req["TagKeys"]
        self._change(call, req, lambda _, old: replace(old, tags=untagged(old.tags, gone)))
        return {}

    @operation("PolicyArn", "MaxItems", "Marker")
    def list_policy_tags(self, call: Call, req: Params) -> Params:
        policy = self.entities.database.read(lambda c: self._find(c, call, req["PolicyArn"]))
        found, rest = page(tag_list(policy.tags), req, lambda tag: tag["Key"])
        return {"Tags": list(found), **rest}

    @operation("PolicyArn", "PolicyDocument", "SetAsDefault")
    def create_policy_version(self, call: Call, req: Params) -> Params:
        text, now = self._checked(req["PolicyDocument"]), self._now()
        made: list[Params] = []

        def work(connection: Connection, policy: ManagedPolicy) -> ManagedPolicy:
            held = policy_records.versions_of(connection, policy)
            if len(held) >= VERSIONS_MAX:
                raise limit(
                    "A managed policy can have up to 5 versions. Before you create a new version, "
                    "you must delete an existing version."
                )
            number = policy.last + 1
            version = PolicyVersion(number=number, document=text, created_ms=now)
            policy_records.add_version(connection, policy, version)
            changed = replace(policy, last=number, changed_ms=now)
            if req.get("SetAsDefault"):
                changed = replace(changed, version=number, document=text)
            made.append(shown_version(changed, version, whole=False))
            return changed

        self._change(call, req, work)
        return {"PolicyVersion": made[-1]}

    @operation("PolicyArn", "VersionId")
    def get_policy_version(self, call: Call, req: Params) -> Params:
        def work(connection: Connection) -> Params:
            policy = self._find(connection, call, req["PolicyArn"])
            version = _named(versions_of(connection, policy), policy, req)
            return {"PolicyVersion": shown_version(policy, version)}

        return self.entities.database.read(work)

    @operation("PolicyArn", "MaxItems", "Marker")
    def list_policy_versions(self, call: Call, req: Params) -> Params:
        def work(connection: Connection) -> tuple[ManagedPolicy, list[PolicyVersion]]:
            policy = self._find(connection, call, req["PolicyArn"])
            return policy, versions_of(connection, policy)

        policy, held = self.entities.database.read(work)
        newest = sorted(held, key=lambda each: -each.number)
        found, rest = page(newest, req, lambda each: f"{10**9 - each.number}")
        rows = [shown_version(policy, each, whole=False) for each in found]
        return {"Versions": rows, **rest}

    @operation("PolicyArn", "VersionId")
    def set_default_policy_version(self, call: Call, req: Params) -> Params:
        def work(connection: Connection, policy: ManagedPolicy) -> ManagedPolicy:
            version = _named(policy_records.versions_of(connection, policy), policy, req)
            return replace(
                policy, version=version.number, document=version.document, changed_ms=self._now()
            )

        self._change(call, req, work)
        return {}

    @operation("PolicyArn", "VersionId")
    def delete_policy_version(self, call: Call, req: Params) -> Params:
        def work(connection: Connection, policy: ManagedPolicy) -> ManagedPolicy:
            version = _named(policy_records.versions_of(connection, policy), policy, req)
            if version.number == policy.version:
                raise conflict("Cannot delete the default version of a policy.")
            policy_records.delete_version(connection, policy, version.number)
            return policy

        self._change(call, req, work)
        return {}


_ENTITY_FILTER = {
    "User": (Kind.USER,),
    "Role": (Kind.ROLE,),
    "Group": (Kind.GROUP,),
    "LocalManagedPolicy": (),
    "AWSManagedPolicy": (),
}


def _named(held: list[PolicyVersion], policy: ManagedPolicy, req: Params) -> PolicyVersion:
    for version in held:
        if f"v{version.number}" == req["VersionId"]:
            return version
    raise not_found(
        f"Policy {policy.arn} version {req['VersionId']} does not exist or is not attachable."
    )

"""Customer-managed policies, and AWS's own that users' code names. One version each.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from bastide.identity import builtin, records
from bastide.identity.entities import (
    Entities,
    conflict,
    document_size,
    limit,
    not_found,
    tag_list,
    tags_of,
)
from bastide.identity.model import ManagedPolicy, moment
from bastide.identity.pages import page
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.kernel.regions import Region

Params = dict[str, Any]
SIZE_MAX = 6_144
POLICIES_MAX = 1_500
VERSION = "v1"


def shown(policy: ManagedPolicy, attached: int) -> Params:
    row: Params = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": VERSION,
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "CreateDate": moment(policy.created_ms),
        "UpdateDate": moment(policy.created_ms),
    }
    if policy.description:
        row["Description"] = policy.description
    if policy.tags:
        row["Tags"] = tag_list(policy.tags)
    return row


def aws_policy(region: Region, name: str) -> ManagedPolicy:
    return ManagedPolicy(
        account="aws",
        name=name,
        path="/",
        id="ANPA" + name.upper()[:17],
        arn=builtin.arn_of(region, name),
        document=builtin.DOCUMENTS[name],
        description="",
        created_ms=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPolicies:
    """Policies by ARN."""

    entities: Entities

    @operation("PolicyName", "Path", "PolicyDocument", "Description", "Tags")
    def create_policy(self, call: Call, req: Params) -> Params:
        policy = self._new(call, req)

        def work(connection: Connection) -> None:
            if records.managed_named(connection, call.account, policy.name):
                message = f"A policy called {policy.name} already exists."
                raise ServiceError("EntityAlreadyExists", message, status=409)
            if len(records.list_managed(connection, call.account)) >= POLICIES_MAX:
                raise limit(f"Cannot exceed quota for PoliciesPerAccount: {POLICIES_MAX}")
            records.add_managed(connection, policy)

        self.entities.write(call.account, work)
        return {"Policy": shown(policy, 0)}

    def _new(self, call: Call, req: Params) -> ManagedPolicy:
        name, path, text = req["PolicyName"], req.get("Path") or "/", req["PolicyDocument"]
        self.entities.checks.check(text, "identity")
        if document_size(text) > SIZE_MAX:
            raise limit(f"Cannot exceed quota for PolicySize: {SIZE_MAX}")
        return ManagedPolicy(
            account=call.account,
            name=name,
            path=path,
            id="ANPA" + self.entities.ids.word(17),
            arn=arns.iam(call.region, call.account, f"policy{path}{name}"),
            document=text,
            description=req.get("Description") or "",
            created_ms=epoch_ms(self.entities.clock.now()),
            tags=tags_of(req),
        )

    def _find(self, connection: Connection, call: Call, arn: str) -> ManagedPolicy:
        if builtin.document_of(call.region, arn) is not None:
            return aws_policy(call.region, arn.rpartition("/")[2])
        found = records.find_managed(connection, call.account, arn)
        if found is None:
            raise not_found(f"Policy {arn} was not found.")
        return found

    @operation("PolicyArn")
    def get_policy(self, call: Call, req: Params) -> Params:
        def work(connection: Connection) -> Params:
            policy = self._find(connection, call, req["PolicyArn"])
            counts = records.attachments(connection, call.account)
            return {"Policy": shown(policy, counts.get(policy.arn, 0))}

        return self.entities.database.read(work)

    @operation("PolicyArn", "VersionId")
    def get_policy_version(self, call: Call, req: Params) -> Params:
        policy = self.entities.database.read(lambda c: self._find(c, call, req["PolicyArn"]))
        if req["VersionId"] != VERSION:
            raise not_found(
                f"Policy {policy.arn} version {req['VersionId']} does not exist or is not "
                "attachable."
            )
        version = self._version(policy) | {"Document": quote(policy.document, safe="")}
        return {"PolicyVersion": version}

    def _version(self, policy: ManagedPolicy) -> Params:
        created = moment(policy.created_ms)
        return {"VersionId": VERSION, "IsDefaultVersion": True, "CreateDate": created}

    @operation("PolicyArn", "MaxItems", "Marker")
    def list_policy_versions(self, call: Call, req: Params) -> Params:
        policy = self.entities.database.read(lambda c: self._find(c, call, req["PolicyArn"]))
        found, rest = page([policy], req, "versions", lambda each: VERSION)
        return {"Versions": [self._version(each) for each in found], **rest}

    @operation("PolicyArn")
    def delete_policy(self, call: Call, req: Params) -> Params:
        arn = req["PolicyArn"]
        if builtin.document_of(call.region, arn) is not None:
            raise ServiceError("AccessDenied", f"Policy {arn} is managed by AWS.", status=403)

        def work(connection: Connection) -> None:
            policy = self._find(connection, call, arn)
            if records.attachments(connection, call.account).get(arn):
                raise conflict("Cannot delete a policy attached to entities.")
            records.delete_managed(connection, policy)

        self.entities.write(call.account, work)
        return {}

    @operation("Scope", "OnlyAttached", "PathPrefix", "MaxItems", "Marker")
    def list_policies(self, call: Call, req: Params) -> Params:
        scope, prefix = req.get("Scope") or "All", req.get("PathPrefix") or "/"

        def work(connection: Connection) -> tuple[list[ManagedPolicy], dict[str, int]]:
            own = records.list_managed(connection, call.account) if scope != "AWS" else []
            return own, records.attachments(connection, call.account)

        listed, counts = self.entities.database.read(work)
        if scope != "Local":
            listed = listed + [aws_policy(call.region, name) for name in builtin.DOCUMENTS]
        only = bool(req.get("OnlyAttached"))
        kept = [p for p in listed if p.path.startswith(prefix) and (not only or p.arn in counts)]
        kept.sort(key=lambda policy: policy.arn)
        found, rest = page(kept, req, "managed", lambda policy: policy.arn)
        return {"Policies": [shown(each, counts.get(each.arn, 0)) for each in found], **rest}

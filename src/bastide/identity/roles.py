"""IAM roles. Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html"""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from bastide.identity import records
from bastide.identity.entities import Entities, boundary_shown, document_size, limit, tag_list
from bastide.identity.model import Entity, Kind
from bastide.identity.principals import PrincipalNames
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.operation import operation

Params = dict[str, Any]
TRUST_SIZE_MAX = 4_096


def shown(role: Entity, trust: str, *, whole: bool = True) -> Params:
    """The trust policy is percent-encoded, as IAM sends it."""
    row: Params = {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": moment(role.created_ms),
        "AssumeRolePolicyDocument": quote(trust, safe=""),
        "MaxSessionDuration": role.session_max_s,
    }
    if role.description:
        row["Description"] = role.description
    if whole and role.tags:
        row["Tags"] = tag_list(role.tags)
    return row | (boundary_shown(role) if whole else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Roles, their trust, their tags, their inline and attached policies."""

    entities: Entities
    names: PrincipalNames

    @operation(
        "RoleName", "Path", "AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "Tags",
        "PermissionsBoundary",
    )  # fmt: skip
    def create_role(self, call: Call, req: Params) -> Params:
        trust = self._checked_trust(call, req["AssumeRolePolicyDocument"])
        role = replace(
            self.entities.new(call, Kind.ROLE, req["RoleName"], req),
            trust=trust,
            description=req.get("Description") or "",
            session_max_s=req.get("MaxSessionDuration") or 3600,
        )
        self.entities.add(role)
        return {"Role": self._shown(role)}

    def _shown(self, role: Entity, *, whole: bool = True) -> Params:
        return shown(role, self.names.shown(role.account, role.trust), whole=whole)

    def _checked_trust(self, call: Call, text: str) -> str:
        self.entities.checks.check(text, "trust")
        if document_size(text) > TRUST_SIZE_MAX:
            raise limit(f"Cannot exceed quota for ACLSizePerRole: {TRUST_SIZE_MAX}")
        return self.names.bound(call.account, text)

    @operation("RoleName")
    def get_role(self, call: Call, req: Params) -> Params:
        role = self.entities.directory.get(call.account, Kind.ROLE, req["RoleName"])
        return {"Role": self._shown(role)}

    @operation("RoleName")
    def delete_role(self, call: Call, req: Params) -> Params:
        self.entities.remove(call, Kind.ROLE, req["RoleName"])
        return {}

    @operation("PathPrefix", "MaxItems", "Marker")
    def list_roles(self, call: Call, req: Params) -> Params:
        found, rest = self.entities.list(call, Kind.ROLE, req)
        return {"Roles": [self._shown(role, whole=False) for role in found], **rest}

    @operation("RoleName", "Description", "MaxSessionDuration")
    def update_role(self, call: Call, req: Params) -> Params:
        def work(connection: Connection, role: Entity) -> None:
            description = req.get("Description")
            changed = replace(
                role,
                description=role.description if description is None else description,
                session_max_s=req.get("MaxSessionDuration") or role.session_max_s,
            )
            records.change_entity(connection, changed)

        self.entities.change(call.account, Kind.ROLE, req["RoleName"], work)
        return {}

    @operation("RoleName", "Description")
    def update_role_description(self, call: Call, req: Params) -> Params:
        self.update_role(call, req)
        return self.get_role(call, req)

    @operation("RoleName", "PermissionsBoundary")
    def put_role_permissions_boundary(self, call: Call, req: Params) -> Params:
        self.entities.bound(call, Kind.ROLE, req["RoleName"], req["PermissionsBoundary"])
        return {}

    @operation("RoleName")
    def delete_role_permissions_boundary(self, call: Call, req: Params) -> Params:
        self.entities.bound(call, Kind.ROLE, req["RoleName"], "")
        return {}

    @operation("RoleName", "PolicyDocument")
    def update_assume_role_policy(self, call: Call, req: Params) -> Params:
        trust = self._checked_trust(call, req["PolicyDocument"])

        def work(connection: Connection, role: Entity) -> None:
            records.change_entity(connection, replace(role, trust=trust))

        self.entities.change(call.account, Kind.ROLE, req["RoleName"], work)
        return {}

    @operation("RoleName", "PolicyName", "PolicyDocument")
    def put_role_policy(self, call: Call, req: Params) -> Params:
        self.entities.put_policy(call, Kind.ROLE, req["RoleName"], req)
        return {}

    @operation("RoleName", "PolicyName")
    def get_role_policy(self, call: Call, req: Params) -> Params:
        name, policy = req["RoleName"], req["PolicyName"]
        text = self.entities.get_policy(call, Kind.ROLE, name, policy)
        return {"RoleName": name, "PolicyName": policy, "PolicyDocument": text}

    @operation("RoleName", "PolicyName")
    def delete_role_policy(self, call: Call, req: Params) -> Params:
        self.entities.delete_policy(call, Kind.ROLE, req["RoleName"], req["PolicyName"])
        return {}

    @operation("RoleName", "MaxItems", "Marker")
    def list_role_policies(self, call: Call, req: Params) -> Params:
        return self.entities.policy_names(call, Kind.ROLE, req["RoleName"], req)

    @operation("RoleName", "PolicyArn")
    def attach_role_policy(self, call: Call, req: Params) -> Params:
        self.entities.attach(call, Kind.ROLE, req["RoleName"], req["PolicyArn"])
        return {}

    @operation("RoleName", "PolicyArn")
    def detach_role_policy(self, call: Call, req: Params) -> Params:
        self.entities.detach(call, Kind.ROLE, req["RoleName"], req["PolicyArn"])
        return {}

    @operation("RoleName", "PathPrefix", "MaxItems", "Marker")
    def list_attached_role_policies(self, call: Call, req: Params) -> Params:
        return self.entities.attached(call, Kind.ROLE, req["RoleName"], req)

    @operation("RoleName", "Tags")
    def tag_role(self, call: Call, req: Params) -> Params:
        self.entities.tag(call, Kind.ROLE, req["RoleName"], req)
        return {}

    @operation("RoleName", "TagKeys")
    def untag_role(self, call: Call, req: Params) -> Params:
        self.entities.untag(call, Kind.ROLE, req["RoleName"], req)
        return {}

    @operation("RoleName", "MaxItems", "Marker")
    def list_role_tags(self, call: Call, req: Params) -> Params:
        return self.entities.tags(call, Kind.ROLE, req["RoleName"], req)

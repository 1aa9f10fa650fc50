"""IAM users. Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html"""

from dataclasses import dataclass
from typing import Any

from bastide.identity import records
from bastide.identity.entities import Entities, boundary_shown, tag_list
from bastide.identity.model import Entity, Kind
from bastide.kernel.call import Call, PrincipalKind
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation

Params = dict[str, Any]


def own_name(call: Call, req: Params) -> str:
    """The user that is named, or the one who calls."""
    named = req.get("UserName")
    if named:
        return str(named)
    if call.principal.kind is not PrincipalKind.USER:
        message = "Must specify userName when calling with non-User credentials"
        raise ServiceError("ValidationError", message, status=400)
    return call.principal.name


def shown(user: Entity, *, tags: bool = True) -> Params:
    row: Params = {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn,
        "CreateDate": moment(user.created_ms),
    }
    if tags and user.tags:
        row["Tags"] = tag_list(user.tags)
    return row | (boundary_shown(user) if tags else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Users, their tags, their inline and attached policies."""

    entities: Entities

    @operation("UserName", "Path", "Tags", "PermissionsBoundary")
    def create_user(self, call: Call, req: Params) -> Params:
        user = self.entities.new(call, Kind.USER, req["UserName"], req)
        self.entities.add(user)
        return {"User": shown(user)}

    @operation("UserName")
    def get_user(self, call: Call, req: Params) -> Params:
        return {
            "User": shown(self.entities.directory.get(call.account, Kind.USER, own_name(call, req)))
        }

    @operation("UserName", "NewUserName", "NewPath")
    def update_user(self, call: Call, req: Params) -> Params:
        database, name = self.entities.database, req["UserName"]
        memory = self.entities.directory.memory
        keys = database.read(lambda c: records.keys_of(c, call.account, name))
        bearers = database.read(lambda c: records.service_keys_of(c, call.account, name))
        try:
            self.entities.rename(call, Kind.USER, req)
        finally:
            for key in keys:
                memory.forget_key(key.id)
            for bearer in bearers:
                memory.forget_key(("bearer", bearer.digest))
        return {}

    @operation("UserName", "PermissionsBoundary")
    def put_user_permissions_boundary(self, call: Call, req: Params) -> Params:
        self.entities.bound(call, Kind.USER, req["UserName"], req["PermissionsBoundary"])
        return {}

    @operation("UserName")
    def delete_user_permissions_boundary(self, call: Call, req: Params) -> Params:
        self.entities.bound(call, Kind.USER, req["UserName"], "")
        return {}

    @operation("UserName")
    def delete_user(self, call: Call, req: Params) -> Params:
        self.entities.remove(call, Kind.USER, req["UserName"])
        return {}

    @operation("PathPrefix", "MaxItems", "Marker")
    def list_users(self, call: Call, req: Params) -> Params:
        found, rest = self.entities.list(call, Kind.USER, req)
        return {"Users": [shown(user, tags=False) for user in found], **rest}

    @operation("UserName", "PolicyName", "PolicyDocument")
    def put_user_policy(self, call: Call, req: Params) -> Params:
        self.entities.put_policy(call, Kind.USER, req["UserName"], req)
        return {}

    @operation("UserName", "PolicyName")
    def get_user_policy(self, call: Call, req: Params) -> Params:
        name, policy = req["UserName"], req["PolicyName"]
        text = self.entities.get_policy(call, Kind.USER, name, policy)
        return {"UserName": name, "PolicyName": policy, "PolicyDocument": text}

    @operation("UserName", "PolicyName")
    def delete_user_policy(self, call: Call, req: Params) -> Params:
        self.entities.delete_policy(call, Kind.USER, req["UserName"], req["PolicyName"])
        return {}

    @operation("UserName", "MaxItems", "Marker")
    def list_user_policies(self, call: Call, req: Params) -> Params:
        return self.entities.policy_names(call, Kind.USER, req["UserName"], req)

    @operation("UserName", "PolicyArn")
    def attach_user_policy(self, call: Call, req: Params) -> Params:
        self.entities.attach(call, Kind.USER, req["UserName"], req["PolicyArn"])
        return {}

    @operation("UserName", "PolicyArn")
    def detach_user_policy(self, call: Call, req: Params) -> Params:
        self.entities.detach(call, Kind.USER, req["UserName"], req["PolicyArn"])
        return {}

    @operation("UserName", "PathPrefix", "MaxItems", "Marker")
    def list_attached_user_policies(self, call: Call, req: Params) -> Params:
        return self.entities.attached(call, Kind.USER, req["UserName"], req)

    @operation("UserName", "Tags")
    def tag_user(self, call: Call, req: Params) -> Params:
        self.entities.tag(call, Kind.USER, req["UserName"], req)
        return {}

    @operation("UserName", "TagKeys")
    def untag_user(self, call: Call, req: Params) -> Params:
        self.entities.untag(call, Kind.USER, req["UserName"], req)
        return {}

    @operation("UserName", "MaxItems", "Marker")
    def list_user_tags(self, call: Call, req: Params) -> Params:
        return self.entities.tags(call, Kind.USER, req["UserName"], req)

"""IAM groups. Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_groups.html"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.identity import group_records
from bastide.identity.directory import read_entity
from bastide.identity.entities import Entities, limit, not_found
from bastide.identity.model import Entity, Kind
from bastide.identity.pages import page
from bastide.identity.users import shown as shown_user
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.operation import operation

Params = dict[str, Any]
GROUPS_PER_USER_MAX = 10


def shown(group: Entity) -> Params:
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.id,
        "Arn": group.arn,
        "CreateDate": moment(group.created_ms),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Groups, who is in them, and their policies, which are their members' too."""

    entities: Entities

    @operation("GroupName", "Path")
    def create_group(self, call: Call, req: Params) -> Params:
        group = self.entities.new(call, Kind.GROUP, req["GroupName"], req)
        self.entities.add(group)
        return {"Group": shown(group)}

    @operation("GroupName", "MaxItems", "Marker")
    def get_group(self, call: Call, req: Params) -> Params:
        group = self.entities.directory.get(call.account, Kind.GROUP, req["GroupName"])

        def read(connection: Connection) -> list[Entity]:
            names = group_records.users_in(connection, call.account, group.name)
            return [read_entity(connection, call.account, Kind.USER, name) for name in names]

        users = self.entities.database.read(read)
        found, rest = page(users, req, lambda user: user.name)
        return {
            "Group": shown(group),
            "Users": [shown_user(user, tags=False) for user in found],
            **rest,
        }

    @operation("PathPrefix", "MaxItems", "Marker")
    def list_groups(self, call: Call, req: Params) -> Params:
        found, rest = self.entities.list(call, Kind.GROUP, req)
        return {"Groups": [shown(group) for group in found], **rest}

    @operation("GroupName", "NewGroupName", "NewPath")
    def update_group(self, call: Call, req: Params) -> Params:
        self.entities.rename(call, Kind.GROUP, req)
        return {}

    @operation("GroupName")
    def delete_group(self, call: Call, req: Params) -> Params:
        self.entities.remove(call, Kind.GROUP, req["GroupName"])
        return {}

    @operation("GroupName", "UserName")
    def add_user_to_group(self, call: Call, req: Params) -> Params:
        name = req["UserName"]

        def work(connection: Connection, group: Entity) -> None:
            read_entity(connection, call.account, Kind.USER, name)
            held = group_records.groups_of(connection, call.account, name)
            if group.name in held:
                return
            if len(held) >= GROUPS_PER_USER_MAX:
                raise limit(f"Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER_MAX}")
            group_records.add_member(connection, call.account, group.name, name)

        self.entities.change(call.account, Kind.GROUP, req["GroupName"], work)
        return {}

    @operation("GroupName", "UserName")
    def remove_user_from_group(self, call: Call, req: Params) -> Params:
        name = req["UserName"]

        def work(connection: Connection, group: Entity) -> None:
            read_entity(connection, call.account, Kind.USER, name)
            if not group_records.remove_member(connection, call.account, group.name, name):
                raise not_found(f"User {name} is not in group {group.name}.")

        self.entities.change(call.account, Kind.GROUP, req["GroupName"], work)
        return {}

    @operation("UserName", "MaxItems", "Marker")
    def list_groups_for_user(self, call: Call, req: Params) -> Params:
        user = self.entities.directory.get(call.account, Kind.USER, req["UserName"])

        def read(connection: Connection) -> list[Entity]:
            names = group_records.groups_of(connection, call.account, user.name)
            return [read_entity(connection, call.account, Kind.GROUP, name) for name in names]

        groups = self.entities.database.read(read)
        found, rest = page(groups, req, lambda group: group.name)
        return {"Groups": [shown(group) for group in found], **rest}

    @operation("GroupName", "PolicyName", "PolicyDocument")
    def put_group_policy(self, call: Call, req: Params) -> Params:
        self.entities.put_policy(call, Kind.GROUP, req["GroupName"], req)
        return {}

    @operation("GroupName", "PolicyName")
    def get_group_policy(self, call: Call, req: Params) -> Params:
        name, policy = req["GroupName"], req["PolicyName"]
        text = self.entities.get_policy(call, Kind.GROUP, name, policy)
        return {"GroupName": name, "PolicyName": policy, "PolicyDocument": text}

    @operation("GroupName", "PolicyName")
    def delete_group_policy(self, call: Call, req: Params) -> Params:
        self.entities.delete_policy(call, Kind.GROUP, req["GroupName"], req["PolicyName"])
        return {}

    @operation("GroupName", "MaxItems", "Marker")
    def list_group_policies(self, call: Call, req: Params) -> Params:
        return self.entities.policy_names(call, Kind.GROUP, req["GroupName"], req)

    @operation("GroupName", "PolicyArn")
    def attach_group_policy(self, call: Call, req: Params) -> Params:
        self.entities.attach(call, Kind.GROUP, req["GroupName"], req["PolicyArn"])
        return {}

    @operation("GroupName", "PolicyArn")
    def detach_group_policy(self, call: Call, req: Params) -> Params:
        self.entities.detach(call, Kind.GROUP, req["GroupName"], req["PolicyArn"])
        return {}

    @operation("GroupName", "PathPrefix", "MaxItems", "Marker")
    def list_attached_group_policies(self, call: Call, req: Params) -> Params:
        return self.entities.attached(call, Kind.GROUP, req["GroupName"], req)

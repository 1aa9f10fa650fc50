"""An account as a whole: what it holds, how much of it, and its alias.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from bastide.identity import (
    builtin,
    entities,
    group_records,
    groups,
    policies,
    policy_records,
    records,
    roles,
    users,
)
from bastide.identity.access_keys import KEYS_MAX
from bastide.identity.entities import ATTACHED_MAX, ENTITIES_MAX, INLINE_SIZE_MAX, Entities
from bastide.identity.model import Entity, Kind, ManagedPolicy
from bastide.identity.pages import page
from bastide.identity.principals import PrincipalNames
from bastide.kernel.call import Call
from bastide.kernel.operation import operation

Params = dict[str, Any]
_LISTS = {
    "User": "UserDetailList",
    "Group": "GroupDetailList",
    "Role": "RoleDetailList",
    "LocalManagedPolicy": "Policies",
    "AWSManagedPolicy": "Policies",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    entities: Entities
    names: PrincipalNames

    @operation("Filter", "MaxItems", "Marker")
    def get_account_authorization_details(self, call: Call, req: Params) -> Params:
        wanted = req.get("Filter") or list(_LISTS)

        def read(connection: Connection) -> list[tuple[str, Params]]:
            rows: list[tuple[str, Params]] = []
            for kind in Kind:
                noun = kind.value.capitalize()
                if noun in wanted:
                    held = records.list_entities(connection, call.account, kind)
                    rows += [(noun, self._entity(connection, each)) for each in held]
            return rows + self._policies(connection, call, wanted)

        rows = self.entities.database.read(read)
        order = {id(row): f"{row[0]} {row[1]['Arn']}" for row in rows}
        rows.sort(key=lambda row: order[id(row)])
        found, rest = page(rows, req, lambda row: order[id(row)])
        answer: Params = {name: [] for name in _LISTS.values()}
        for noun, shown in found:
            answer[_LISTS[noun]].append(shown)
        return answer | rest

    def _entity(self, connection: Connection, entity: Entity) -> Params:
        noun = entity.kind.value.capitalize()
        inline = [
            {"PolicyName": name, "PolicyDocument": quote(text, safe="")}
            for name, text in records.inline_of(connection, entity).items()
        ]
        row = {
            f"{noun}PolicyList": inline,
            "AttachedManagedPolicies": [
                {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}
                for arn in records.attached_to(connection, entity)
            ],
        }
        if entity.kind is Kind.GROUP:
            return groups.shown(entity) | row
        if entity.kind is Kind.USER:
            names = group_records.groups_of(connection, entity.account, entity.name)
            return users.shown(entity) | row | {"GroupList": names}
        shown = roles.shown(entity, self.names.shown(entity.account, entity.trust))
        unasked = ("Description", "MaxSessionDuration")
        return {key: shown[key] for key in shown if key not in unasked} | row

    def _policies(
        self, connection: Connection, call: Call, wanted: list[str]
    ) -> list[tuple[str, Params]]:
        uses = policies.uses_of(connection, call.account)
        held: list[tuple[str, ManagedPolicy]] = []
        if "LocalManagedPolicy" in wanted:
            own = policy_records.list_managed(connection, call.account)
            held += [("LocalManagedPolicy", policy) for policy in own]
        if "AWSManagedPolicy" in wanted:
            used = [policies.aws_policy(call.region, name) for name in builtin.DOCUMENTS]
            held += [("AWSManagedPolicy", each) for each in used if each.arn in uses[0]]
        return [
            (
                noun,
                policies.shown(policy, uses)
                | {
                    "PolicyVersionList": [
                        policies.shown_version(policy, version)
                        for version in policies.versions_of(connection, policy)
                    ]
                },
            )
            for noun, policy in held
        ]

    @operation()
    def get_account_summary(self, call: Call, req: Params) -> Params:
        def read(connection: Connection) -> dict[str, int]:
            count = records.count_entities
            return {
                "Users": count(connection, call.account, Kind.USER),
                "Roles": count(connection, call.account, Kind.ROLE),
                "Groups": count(connection, call.account, Kind.GROUP),
                "Policies": len(policy_records.list_managed(connection, call.account)),
            }

        return {"SummaryMap": self.entities.database.read(read) | _QUOTAS}

    @operation("MaxItems", "Marker")
    def list_account_aliases(self, call: Call, req: Params) -> Params:
        alias = self.entities.database.read(lambda c: group_records.alias_of(c, call.account))
        return {"AccountAliases": [alias] if alias else [], "IsTruncated": False}

    @operation("AccountAlias")
    def create_account_alias(self, call: Call, req: Params) -> Params:
        """An account has one; it is its own alone, so that no alias tells of another account."""
        alias = req["AccountAlias"]
        self.entities.write(call.account, lambda c: group_records.set_alias(c, call.account, alias))
        return {}

    @operation("AccountAlias")
    def delete_account_alias(self, call: Call, req: Params) -> Params:
        alias = req["AccountAlias"]

        def work(connection: Connection) -> None:
            if group_records.alias_of(connection, call.account) != alias:
                raise entities.not_found(f"The account alias {alias} cannot be found.")
            group_records.set_alias(connection, call.account, None)

        self.entities.write(call.account, work)
        return {}


_QUOTAS = {
    "UsersQuota": ENTITIES_MAX[Kind.USER],
    "RolesQuota": ENTITIES_MAX[Kind.ROLE],
    "GroupsQuota": ENTITIES_MAX[Kind.GROUP],
    "PoliciesQuota": policies.POLICIES_MAX,
    "PolicySizeQuota": policies.SIZE_MAX,
    "VersionsPerPolicyQuota": policies.VERSIONS_MAX,
    "GroupsPerUserQuota": groups.GROUPS_PER_USER_MAX,
    "AccessKeysPerUserQuota": KEYS_MAX,
    "AttachedPoliciesPerUserQuota": ATTACHED_MAX,
    "AttachedPoliciesPerRoleQuota": ATTACHED_MAX,
    "AttachedPoliciesPerGroupQuota": ATTACHED_MAX,
    "UserPolicySizeQuota": INLINE_SIZE_MAX[Kind.USER],
    "RolePolicySizeQuota": INLINE_SIZE_MAX[Kind.ROLE],
    "GroupPolicySizeQuota": INLINE_SIZE_MAX[Kind.GROUP],
    "AssumeRolePolicySizeQuota": roles.TRUST_SIZE_MAX,
    "MFADevices": 0,
    "MFADevicesInUse": 0,
    "AccountMFAEnabled": 0,
    "AccountAccessKeysPresent": 0,
    "Providers": 0,
    "ServerCertificates": 0,
    "InstanceProfiles": 0,
}

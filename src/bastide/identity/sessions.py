"""STS. Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""

from dataclasses import dataclass
from typing import Any

from bastide.identity.directory import Directory
from bastide.identity.entities import tags_of
from bastide.identity.model import Entity, Kind
from bastide.identity.ports import Checks
from bastide.identity.tokens import SessionTokens
from bastide.kernel.call import Call, PrincipalKind
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation

Params = dict[str, Any]
DURATION_DEFAULT_S = 3_600
CHAINED_MAX_S = 3_600
TOKEN_DEFAULT_S = 43_200
PACKED_SIZE_MAX = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Who one is, and becoming a role."""

    directory: Directory
    checks: Checks
    tokens: SessionTokens

    @operation()
    def get_caller_identity(self, call: Call, req: Params) -> Params:
        who = call.principal
        return {"UserId": who.user_id, "Account": who.account, "Arn": who.arn}

    @operation("DurationSeconds")
    def get_session_token(self, call: Call, req: Params) -> Params:
        if call.principal.kind is not PrincipalKind.USER:
            message = "Cannot call GetSessionToken with session credentials"
            raise ServiceError("AccessDenied", message, status=403)
        user = self.directory.get(call.account, Kind.USER, call.principal.name)
        duration_s = req.get("DurationSeconds") or TOKEN_DEFAULT_S
        session = self.tokens.new(user, "", duration_s, {}, None)
        return {"Credentials": self.tokens.credentials(session)}

    @operation("RoleArn", "RoleSessionName", "DurationSeconds", "Policy", "Tags", "ExternalId")
    def assume_role(self, call: Call, req: Params) -> Params:
        role = self._role(call, req)
        duration_s = self._duration_s(call, role, req)
        policy, tags = req.get("Policy"), tags_of(req)
        if policy is not None:
            self.checks.check(policy, "identity")
        packed = len(policy or "") + sum(len(key) + len(value) for key, value in tags.items())
        if packed > PACKED_SIZE_MAX:
            message = "The session policy and tags exceed the packed size limit."
            raise ServiceError("PackedPolicyTooLarge", message, status=400)
        name = req["RoleSessionName"]
        session = self.tokens.new(role, name, duration_s, tags, policy)
        return {
            "Credentials": self.tokens.credentials(session),
            "AssumedRoleUser": {
                "AssumedRoleId": f"{role.id}:{name}",
                "Arn": session_arn(call.region.partition, role.account, role.name, name),
            },
            **({"PackedPolicySize": -(-packed * 100 // PACKED_SIZE_MAX)} if packed else {}),
        }

    def _role(self, call: Call, req: Params) -> Entity:
        """The role, if it is there and trusts the caller; one answer for all that is not so."""
        role = self.directory.by_arn(call.account, req["RoleArn"])
        asked = ["sts:AssumeRole"] + (["sts:TagSession"] if req.get("Tags") else [])
        for action in asked:
            if (
                role is None
                or role.kind is not Kind.ROLE
                or not self.checks.trusts(call, req, action, role.trust)
            ):
                message = (
                    f"User: {call.principal.arn} is not authorized to perform: {action} "
                    f"on resource: {req['RoleArn']}"
                )
                raise ServiceError("AccessDenied", message, status=403)
        assert role is not None
        return role

    def _duration_s(self, call: Call, role: Entity, req: Params) -> int:
        duration_s = int(req.get("DurationSeconds") or DURATION_DEFAULT_S)
        if call.principal.kind is PrincipalKind.SESSION and duration_s > CHAINED_MAX_S:
            message = (
                "The requested DurationSeconds exceeds the 1 hour session limit for roles "
                "assumed by role chaining"
            )
            raise ServiceError("ValidationError", message, status=400)
        if duration_s > role.session_max_s:
            message = (
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
            raise ServiceError("ValidationError", message, status=400)
        return duration_s


def session_arn(partition: str, account: str, role: str, session: str) -> str:
    return f"arn:{partition}:sts::{account}:assumed-role/{role}/{session}"

"""STS. Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bastide.identity.clearances import Clearances
from bastide.identity.directory import Directory
from bastide.identity.entities import fault_of_tags, tags_in
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
POLICY_ARNS_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Who one is, and becoming a role."""

    directory: Directory
    checks: Checks
    tokens: SessionTokens
    clearances: Clearances

    @operation()
    def get_caller_identity(self, call: Call, req: Params) -> Params:
        who = call.principal
        return {"UserId": who.user_id, "Account": who.account, "Arn": who.arn}

    @operation("DurationSeconds")
    def get_session_token(self, call: Call, req: Params) -> Params:
        if call.principal.kind is not PrincipalKind.USER:
            message = "Cannot call GetSessionToken with session credentials"
            raise ServiceError("AccessDenied", message, status=403)
        user = self.directory.find(call.account, Kind.USER, call.principal.name)
        if user is None:  # deleted since the call was let in
            message = "The security token included in the request is invalid."
            raise ServiceError("InvalidClientTokenId", message, status=403)
        duration_s = req.get("DurationSeconds") or TOKEN_DEFAULT_S
        session = self.tokens.new(user, "", duration_s)
        return {"Credentials": self.tokens.credentials(session)}

    @operation(
        "RoleArn", "RoleSessionName", "DurationSeconds", "Policy", "PolicyArns", "Tags",
        "TransitiveTagKeys", "ExternalId", "SourceIdentity",
    )  # fmt: skip
    def assume_role(self, call: Call, req: Params) -> Params:
        tags, transitive = _session_tags(call, req)
        role = self._role(call, req, tags)
        duration_s = self._duration_s(call, role, req)
        policy, managed = req.get("Policy"), self._policy_arns(call, req)
        if policy is not None:
            self.checks.check(policy, "identity")
        packed = len(policy or "") + sum(len(arn) for arn in managed)
        packed += sum(len(key) + len(value) for key, value in tags.items())
        if packed > PACKED_SIZE_MAX:
            message = "The session policy and tags exceed the packed size limit."
            raise ServiceError("PackedPolicyTooLarge", message, status=400)
        name, source = req["RoleSessionName"], _source_identity(call, req)
        clearance, label = self.clearances.role_session(call.principal, role, tags)
        session = self.tokens.new(
            role,
            name,
            duration_s,
            tags=tags,
            transitive=transitive,
            policy=policy,
            policy_arns=managed,
            source_identity=source,
            clearance=clearance.text,
            label=label.text,
        )
        return {
            "Credentials": self.tokens.credentials(session),
            "AssumedRoleUser": {
                "AssumedRoleId": f"{role.id}:{name}",
                "Arn": session_arn(call.region.partition, role.account, role.name, name),
            },
            **({"PackedPolicySize": -(-packed * 100 // PACKED_SIZE_MAX)} if packed else {}),
            **({"SourceIdentity": source} if source else {}),
        }

    def _policy_arns(self, call: Call, req: Params) -> list[str]:
        found = [each.get("arn", "") for each in req.get("PolicyArns") or []]
        if len(found) > POLICY_ARNS_MAX:
            raise invalid(f"At most {POLICY_ARNS_MAX} managed session policies can be passed.")
        for arn in found:
            if self.directory.managed(call.account, arn) is None:
                raise invalid(f"The managed session policy {arn} does not exist.")
        return found

    def _role(self, call: Call, req: Params, tags: Mapping[str, str]) -> Entity:
        """The role, if it is there and trusts the caller; one answer for all that is not so."""
        role = self.directory.by_arn(call.account, req["RoleArn"])
        asked = ["sts:AssumeRole"]
        asked += ["sts:TagSession"] if tags else []
        asked += ["sts:SetSourceIdentity"] if _source_identity(call, req) else []
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
            raise invalid(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles "
                "assumed by role chaining"
            )
        if duration_s > role.session_max_s:
            raise invalid(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
        return duration_s


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationError", message, status=400)


def _session_tags(call: Call, req: Params) -> tuple[dict[str, str], list[str]]:
    """The tags asked for and those that came down the chain, and which of them go on. Source:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html"""
    asked, going_on = tags_in(req), list(req.get("TransitiveTagKeys") or [])
    fault = fault_of_tags(req)
    if fault:
        raise invalid(fault)
    lowered = {key.lower() for key in asked}
    if any(key.lower() not in lowered for key in going_on):
        raise invalid("The specified transitive tag key must be included in the requested tags.")
    who = call.principal
    inherited = {key: who.tags[key] for key in who.tags if key in who.transitive}
    if any(key.lower() in lowered for key in inherited):
        raise invalid(
            "One of the specified transitive tag keys can't be set because it conflicts with a "
            "transitive tag key from the calling session."
        )
    going = {key.lower() for key in going_on}
    return {**inherited, **asked}, [*inherited, *(key for key in asked if key.lower() in going)]


def _source_identity(call: Call, req: Params) -> str:
    """Set once, it stays for the whole chain."""
    held, asked = call.principal.facts.get("aws:sourceidentity", ""), req.get("SourceIdentity")
    if held and asked and asked != held:
        raise invalid("The source identity of the calling session cannot be changed.")
    return str(asked or held)


def session_arn(partition: str, account: str, role: str, session: str) -> str:
    return f"arn:{partition}:sts::{account}:assumed-role/{role}/{session}"

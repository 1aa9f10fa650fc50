"""Keys for what a service runs in an agency's name: sessions of a role, as STS makes them."""

from collections.abc import Mapping
from dataclasses import dataclass

from bastide.identity.service_roles import ServiceRoles
from bastide.identity.tokens import SessionTokens
from bastide.kernel.clock import moment

DURATION_S = 3_600
DURATION_LEAST_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKeys:
    roles: ServiceRoles
    tokens: SessionTokens

    def issue(
        self, account: str, role_arn: str, service: str, marking: str, name: str
    ) -> Mapping[str, str]:
        """Of a session at the label of that marking, cleared for no more. ValidationException
        unless the role is there, trusts the service, and is cleared for the label. They are good
        at the side door of that name alone: taken out of it, they are nobody's. In the words of
        https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html"""
        role, _ = self.roles.assumed(account, role_arn, service, marking)
        duration_s = max(DURATION_LEAST_S, min(DURATION_S, role.session_max_s))
        session = self.tokens.new(
            role, name, duration_s, clearance=marking, label=marking, behind=name
        )
        return {
            "RoleArn": role_arn,
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret,
            "Token": self.tokens.sealed(session),
            "Expiration": f"{moment(session.expires_ms):%Y-%m-%dT%H:%M:%SZ}",
        }

"""Roles that are handed to a service: who may pass one, and what the service becomes with it."""

from dataclasses import dataclass

from bastide.identity.clearances import Clearances
from bastide.identity.directory import Directory
from bastide.identity.model import Entity, Kind
from bastide.identity.ports import Checks
from bastide.identity.sessions import session_arn
from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.errors import ServiceError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRoles:
    """`service` is a service principal, e.g. `sagemaker.amazonaws.com`."""

    directory: Directory
    checks: Checks
    clearances: Clearances

    def check_pass(self, call: Call, role_arn: str, service: str, associated_arn: str) -> None:
        """AccessDeniedException unless the caller may pass the role to the service, for the
        resource that is being made with it."""
        role = self._role(call.account, role_arn)
        more = {"iam:PassedToService": service, "iam:AssociatedResourceArn": associated_arn}
        if role is None or not self.checks.permits_more(call, "iam:PassRole", role_arn, more):
            message = (
                f"User: {call.principal.arn} is not authorized to perform: iam:PassRole on "
                f"resource: {role_arn} because no identity-based policy allows the iam:PassRole "
                "action"
            )
            raise ServiceError("AccessDeniedException", message, status=400)

    def assume_for_service(
        self, account: str, role_arn: str, service: str, marking: str
    ) -> Principal:
        """The principal that a service is when it works with the role, at the label of that
        marking."""
        return self.assumed(account, role_arn, service, marking)[1]

    def assumed(
        self, account: str, role_arn: str, service: str, marking: str
    ) -> tuple[Entity, Principal]:
        """The role, and what a service is when it works with it."""
        role = self._role(account, role_arn)
        if role is None or not self.checks.trusts_service(role.trust, service, account):
            message = (
                f"Could not assume role {role_arn}. Please ensure that the role exists and "
                f"allows principal '{service}' to assume the role."
            )
            raise ServiceError("ValidationException", message, status=400)
        clearance, label = self.clearances.of(role), self.clearances.parse(marking)
        if not clearance.dominates(label):
            message = f"The role {role_arn} is not cleared for {label}."
            raise ServiceError("ValidationException", message, status=400)
        name = service.partition(".")[0]
        principal = Principal(
            account=account,
            arn=session_arn(self.directory.region.partition, account, role.name, name),
            user_id=f"{role.id}:{name}",
            kind=PrincipalKind.SESSION,
            issuer_arn=role.arn,
            name=name,
            access_key_id="",
            clearance=clearance,
            session=label,
            duty=role.duty,
            tags=role.tags,
        )
        return role, principal

    def _role(self, account: str, role_arn: str) -> Entity | None:
        found = self.directory.by_arn(account, role_arn)
        return found if found and found.kind is Kind.ROLE else None

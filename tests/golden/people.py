"""The callers of the authorization matrix: made by the region's own operations, found by their own
credentials."""

from dataclasses import dataclass
from typing import Any

from bastide.identity.builtin import arn_of
from bastide.kernel import arns
from bastide.kernel.call import Principal
from bastide.operators.duties import DutyRoom
from tests.golden.calls import ROLE, TARGET
from tests.policy_kit import a_call, document, statement

SERVICE = "sagemaker.amazonaws.com"
BOUNDARY = "AmazonS3FullAccess"
NARROW = ["s3:Get*", "s3:List*", "sagemaker:*"]


@dataclass(frozen=True)
class Agreed:
    """Approvals where everybody has signed for everything."""

    region: Any

    def carry_out(self, kind, action, requester, effect):
        return self.region.core.database.write(effect)


@dataclass(frozen=True)
class People:
    """`region` is one that is open."""

    region: Any

    @property
    def duties(self) -> DutyRoom:
        identity = self.region.identity
        return DutyRoom(
            agencies=identity.agencies, directory=identity.directory, approvals=Agreed(self.region)
        )

    def administrator(self, agency: str) -> Principal:
        agencies = self.region.identity.agencies
        key_id, _ = agencies.administrator_keys(agencies.find(agency) or agencies.create(agency))
        return self._found(key_id)

    def user(self, admin: Principal, name: str, *managed: str) -> Principal:
        """A new user with AWS-managed policies."""
        self._do(admin, "iam.CreateUser", UserName=name)
        for each in managed:
            arn = arn_of(self.region.core.region, each)
            self._do(admin, "iam.AttachUserPolicy", UserName=name, PolicyArn=arn)
        made = self._do(admin, "iam.CreateAccessKey", UserName=name)
        return self._found(made["AccessKey"]["AccessKeyId"])

    def auditor(self, admin: Principal, name: str, *managed: str) -> Principal:
        """A user whom two officers made an auditor after it got its policies."""
        self.user(admin, name, *managed)
        self.duties.grant(admin.account, f"user/{name}", "auditor", "")
        made = self._do(admin, "iam.CreateAccessKey", UserName=name)
        return self._found(made["AccessKey"]["AccessKeyId"])

    def bounded(self, admin: Principal) -> Principal:
        bounded = self.user(admin, "bounded", "AdministratorAccess")
        arn = arn_of(self.region.core.region, BOUNDARY)
        self._do(
            admin, "iam.PutUserPermissionsBoundary", UserName="bounded", PermissionsBoundary=arn
        )
        return bounded

    def execution_role(self, account: str) -> Principal:
        """As SageMaker is, when it works for a job."""
        arn = arns.iam(self.region.core.region, account, f"role/{ROLE}")
        return self.region.identity.roles.assume_for_service(account, arn, SERVICE, "U")

    def narrowed(self, admin: Principal) -> Principal:
        """A session of a role that may everything, narrowed by a session policy."""
        root = arns.iam(self.region.core.region, admin.account, "root")
        trust = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}
        made = self._do(
            admin, "iam.CreateRole",
            RoleName=TARGET, AssumeRolePolicyDocument=document(trust),
        )  # fmt: skip
        self._do(
            admin, "iam.PutRolePolicy",
            RoleName=TARGET, PolicyName="all", PolicyDocument=document(statement()),
        )  # fmt: skip
        session = self._do(
            admin, "sts.AssumeRole",
            RoleArn=made["Role"]["Arn"], RoleSessionName="s",
            Policy=document(statement(action=NARROW)),
        )["Credentials"]  # fmt: skip
        return self._found(session["AccessKeyId"], session["SessionToken"])

    def _do(self, who: Principal, operation: str, **params: Any) -> dict[str, Any]:
        method = self.region.gateway.handlers[operation].method
        return method(a_call(operation, who=who), params)

    def _found(self, key_id: str, token: str | None = None) -> Principal:
        now = self.region.core.clock.now()
        found = self.region.identity.credentials.find(key_id, token, now)
        assert found is not None
        return found.principal

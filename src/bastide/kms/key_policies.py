"""Key policies: what decides about a key before IAM is asked.

https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.kms import records
from bastide.kms.model import Grant, Key, Params
from bastide.kms.ports import Access, Documents
from bastide.kms.vault import Vault

POLICY_NAME = "default"
POLICY_SIZE_MAX = 32 * 1024
# The grants' constraints are about these; DescribeKey and RetireGrant have no encryption context.
CONSTRAINED = frozenset(
    {
        "Encrypt",
        "Decrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncryptFrom",
        "ReEncryptTo",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRules:
    """Which policy a key gets, and what it and the grants say when it is used."""

    vault: Vault
    access: Access
    documents: Documents

    def chosen(self, call: Call, key: Key, req: Params) -> str:
        """The policy that a request gives a key, as it is kept; AWS's default if it gives none."""
        given = req.get("Policy")
        if not given:
            return self._default(call)
        if len(given.encode()) > POLICY_SIZE_MAX:
            raise ServiceError("LimitExceededException", "The key policy is too long.")
        kept = self.documents.checked(call.account, given)
        if req.get("BypassPolicyLockoutSafetyCheck"):
            return kept
        if not self.access.would_permit(call, "kms:PutKeyPolicy", self.vault.arn(key), kept):
            raise ServiceError(
                "MalformedPolicyDocumentException",
                "The new key policy will not allow you to update the key policy in the future.",
            )
        return kept

    def of(
        self, account: str, key_id: str, encryption: Mapping[str, str]
    ) -> Sequence[tuple[str, str]] | None:
        """What the authorizer asks of a key: its policy, and the grants that count for this
        encryption context, each as a document that lets one principal in."""
        key = self.vault.find(account, key_id)
        if key is None:
            return None
        held = self.vault.database.read(lambda c: records.grants_on(c, account, key_id))
        grants = [("grant", _as_document(one, encryption)) for one in held]
        return [("key-policy", key.policy), *grants]

    def _default(self, call: Call) -> str:
        """The account's own policies decide."""
        statement = {
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": {"AWS": arns.iam(call.region, call.account, "root")},
            "Action": "kms:*",
            "Resource": "*",
        }
        return json.dumps(
            {"Version": "2012-10-17", "Id": "key-default-1", "Statement": [statement]}, indent=2
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPolicies:
    rules: KeyRules

    @operation("KeyId", "PolicyName", "Policy", "BypassPolicyLockoutSafetyCheck")
    def put_key_policy(self, call: Call, req: Params) -> Params:
        _check_name(req)
        key = self.rules.vault.key(call, req["KeyId"])
        policy = self.rules.chosen(call, key, req)

        def work(now: Key) -> Key:
            self.rules.vault.check_not_pending(now)
            return replace(now, policy=policy)

        self.rules.vault.change(call, req["KeyId"], work)
        return {}

    @operation("KeyId", "PolicyName")
    def get_key_policy(self, call: Call, req: Params) -> Params:
        _check_name(req)
        key = self.rules.vault.key(call, req["KeyId"])
        shown = self.rules.documents.shown(call.account, key.policy)
        return {"Policy": shown, "PolicyName": POLICY_NAME}

    @operation("KeyId", "Limit", "Marker")
    def list_key_policies(self, call: Call, req: Params) -> Params:
        self.rules.vault.key(call, req["KeyId"])
        return {"PolicyNames": [POLICY_NAME], "Truncated": False}


def _as_document(grant: Grant, encryption: Mapping[str, str]) -> str:
    met = grant.lets(encryption)
    operations = [name for name in grant.operations if met or name not in CONSTRAINED]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": grant.grantee},
        "Action": [f"kms:{name}" for name in operations] or ["kms:NothingAtAll"],
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _check_name(req: Params) -> None:
    if (req.get("PolicyName") or POLICY_NAME) != POLICY_NAME:
        raise ServiceError("NotFoundException", "No such policy exists")

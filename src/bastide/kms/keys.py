"""Keys: made, described, listed, enabled and disabled.

https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation
from bastide.kms import errors, pages, records
from bastide.kms.key_policies import KeyRules
from bastide.kms.model import Key, Params, State, Usage
from bastide.kms.specs import SPECS, SYMMETRIC
from bastide.kms.tags import checked_tags
from bastide.kms.vault import Vault

KEYS_MAX = 100_000  # of each label: what is above takes no place from what is below
GRANT_TOKENS = {"GrantTokens": "a grant holds as soon as CreateGrant has answered"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    vault: Vault
    rules: KeyRules

    @operation(
        "Policy", "Description", "KeyUsage", "CustomerMasterKeySpec", "KeySpec", "Origin",
        "BypassPolicyLockoutSafetyCheck", "Tags",
    )  # fmt: skip
    def create_key(self, call: Call, req: Params) -> Params:
        spec, usage = _kind_of(call, req)
        vault = self.vault
        tags = checked_tags({}, req.get("Tags") or [])
        around = vault.labelling.of_account(call.account)
        label = vault.labelling.of_new(call.principal.session, tags, around, "TagException")
        key = Key(
            account=call.account,
            id=vault.ids.uuid(),
            label=label.text,
            spec=spec,
            usage=usage,
            policy="",
            created_ms=vault.now_ms(),
            description=req.get("Description") or "",
            tags=tags,
        )
        key = replace(key, policy=self.rules.chosen(call, key, req))
        material, _ = vault.material(key, key.version)

        def work(c: Connection) -> None:
            if records.count(c, call.account, key.label) >= KEYS_MAX:
                raise ServiceError("LimitExceededException", f"An account has {KEYS_MAX} keys.")
            records.add(c, key, material)

        vault.write(work)
        return {"KeyMetadata": self._described(key)}

    @operation("KeyId", accepted=GRANT_TOKENS)
    def describe_key(self, call: Call, req: Params) -> Params:
        return {"KeyMetadata": self._described(self.vault.key(call, req["KeyId"]))}

    @operation("Limit", "Marker")
    def list_keys(self, call: Call, req: Params) -> Params:
        limit, vault = pages.limit_of(req), self.vault
        labels, after = vault.labels_seen(call.principal), pages.after(req)
        found = vault.database.read(
            lambda c: records.page(c, call.account, labels, after, limit + 1)
        )
        return pages.answer(
            "Keys", found, limit, lambda key: key.id,
            lambda key: {"KeyId": key.id, "KeyArn": vault.arn(key)},
        )  # fmt: skip

    @operation("KeyId")
    def enable_key(self, call: Call, req: Params) -> Params:
        return self._set_state(call, req, State.ENABLED)

    @operation("KeyId")
    def disable_key(self, call: Call, req: Params) -> Params:
        return self._set_state(call, req, State.DISABLED)

    @operation("KeyId", "Description")
    def update_key_description(self, call: Call, req: Params) -> Params:
        def work(key: Key) -> Key:
            self.vault.check_not_pending(key)
            return replace(key, description=req["Description"])

        self.vault.change(call, req["KeyId"], work)
        return {}

    def _set_state(self, call: Call, req: Params, state: State) -> Params:
        def work(key: Key) -> Key:
            self.vault.check_not_pending(key)
            return replace(key, state=state)

        self.vault.change(call, req["KeyId"], work)
        return {}

    def _described(self, key: Key) -> Params:
        algorithms = list(SPECS[key.spec].algorithms[key.usage])
        members = {
            Usage.CRYPT: "EncryptionAlgorithms",
            Usage.SIGN: "SigningAlgorithms",
            Usage.MAC: "MacAlgorithms",
        }
        described: Params = {
            "AWSAccountId": key.account,
            "KeyId": key.id,
            "Arn": self.vault.arn(key),
            "CreationDate": moment(key.created_ms),
            "Enabled": key.state is State.ENABLED,
            "Description": key.description,
            "KeyUsage": key.usage.value,
            "KeyState": key.state.value,
            "Origin": "AWS_KMS",
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": key.spec,
            "KeySpec": key.spec,
            "MultiRegion": False,
            members[key.usage]: algorithms,
        }
        if key.deletion_ms is not None:
            described["DeletionDate"] = moment(key.deletion_ms)
        return described


def _kind_of(call: Call, req: Params) -> tuple[str, Usage]:
    origin = req.get("Origin") or "AWS_KMS"
    if origin != "AWS_KMS":
        raise unsupported(call.operation, f"Origin={origin}")
    spec = req.get("KeySpec") or req.get("CustomerMasterKeySpec") or SYMMETRIC
    if spec not in SPECS:
        raise unsupported(call.operation, f"KeySpec={spec}")
    given = req.get("KeyUsage")
    if not given:
        usage = SPECS[spec].default_usage
        if usage is None:
            raise errors.invalid(f"You must specify a KeyUsage value for the KeySpec {spec}.")
        return spec, usage
    if given not in set(Usage) or Usage(given) not in SPECS[spec].algorithms:
        raise errors.invalid(f"KeyUsage {given} is not compatible with KeySpec {spec}.")
    return spec, Usage(given)

"""Names that stand for keys, and may be made to stand for others.

https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.kms import errors, pages, records
from bastide.kms.model import Alias, Key, Params, State
from bastide.kms.vault import Vault

ALIASES_MAX = 50  # of one key
ALIAS_LIMIT_DEFAULT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases:
    vault: Vault

    @operation("AliasName", "TargetKeyId")
    def create_alias(self, call: Call, req: Params) -> Params:
        name = req["AliasName"]
        _check_name(name)
        labels = self.vault.labels_seen(call.principal)

        def work(c: Connection) -> None:
            if records.find_alias(c, call.account, name, labels) is not None:
                arn = _arn(call, name)
                raise ServiceError(
                    "AlreadyExistsException", f"An alias with the name {arn} already exists"
                )
            key, now = self._target(c, call, req), self.vault.now_ms()
            made = Alias(name=name, label=key.label, key_id=key.id, created_ms=now, updated_ms=now)
            records.put_alias(c, call.account, made)

        self.vault.write(work)
        return {}

    @operation("AliasName", "TargetKeyId")
    def update_alias(self, call: Call, req: Params) -> Params:
        labels = self.vault.labels_seen(call.principal)

        def work(c: Connection) -> None:
            had = self._had(c, call, req, labels)
            key, before = self._target(c, call, req), records.find(c, call.account, had.key_id)
            if before is not None and (before.spec, before.usage) != (key.spec, key.usage):
                raise errors.invalid(
                    "The current and new keys must be the same type and key usage."
                )
            records.drop_alias(c, call.account, had)
            now = self.vault.now_ms()
            made = replace(had, label=key.label, key_id=key.id, updated_ms=now)
            records.put_alias(c, call.account, made)

        self.vault.write(work)
        return {}

    @operation("AliasName")
    def delete_alias(self, call: Call, req: Params) -> Params:
        labels = self.vault.labels_seen(call.principal)
        self.vault.write(
            lambda c: records.drop_alias(c, call.account, self._had(c, call, req, labels))
        )
        return {}

    @operation("KeyId", "Limit", "Marker")
    def list_aliases(self, call: Call, req: Params) -> Params:
        limit, key_id = pages.limit_of(req, ALIAS_LIMIT_DEFAULT), None
        if req.get("KeyId"):
            key_id = self.vault.key(call, req["KeyId"]).id
        labels, after = self.vault.labels_seen(call.principal), pages.after(req)
        found = self.vault.database.read(
            lambda c: records.alias_page(c, call.account, labels, key_id)
        )
        return pages.answer(
            "Aliases", [one for one in found if one.name > after], limit, lambda alias: alias.name,
            lambda alias: {
                "AliasName": alias.name,
                "AliasArn": _arn(call, alias.name),
                "TargetKeyId": alias.key_id,
                "CreationDate": moment(alias.created_ms),
                "LastUpdatedDate": moment(alias.updated_ms),
            },
        )  # fmt: skip

    def _had(self, c: Connection, call: Call, req: Params, labels: Sequence[str]) -> Alias:
        found = records.find_alias(c, call.account, req["AliasName"], labels)
        if found is None:
            raise errors.no_alias(_arn(call, req["AliasName"]))
        return found

    def _target(self, c: Connection, call: Call, req: Params) -> Key:
        key = records.find(c, call.account, self.vault.id_of(call, req["TargetKeyId"]))
        if key is None or not call.principal.session.dominates(self.vault.label_of(key)):
            raise errors.no_key(req["TargetKeyId"])
        if key.state is State.PENDING_DELETION:
            raise errors.pending_deletion(self.vault.arn(key))
        if records.aliases_of(c, call.account, key.id) >= ALIASES_MAX:
            raise ServiceError("LimitExceededException", f"A key has {ALIASES_MAX} aliases.")
        return key


def alias_target(vault: Vault, principal: Principal, name: str) -> str | None:
    """The id of the key that an alias stands for, for this session."""
    labels = vault.labels_seen(principal)
    found = vault.database.read(lambda c: records.find_alias(c, principal.account, name, labels))
    return found.key_id if found else None


def aliases_of(vault: Vault, principal: Principal, key_id: str) -> list[str]:
    """The names that stand for a key, for this session."""
    labels, account = vault.labels_seen(principal), principal.account
    found = vault.database.read(lambda c: records.alias_page(c, account, labels, key_id))
    return [alias.name for alias in found]


def _arn(call: Call, name: str) -> str:
    return arns.regional(call.region, "kms", call.account, name)


def _check_name(name: str) -> None:
    if not name.startswith("alias/") or name == "alias/":
        raise errors.invalid("Alias must start with the prefix 'alias/'.")
    if name.startswith("alias/aws/"):
        raise ServiceError(
            "InvalidAliasNameException", "Names that begin with alias/aws/ are AWS's."
        )

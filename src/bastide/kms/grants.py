"""Grants: one principal may do named things with a key, until the grant is retired or revoked.

https://docs.aws.amazon.com/kms/latest/developerguide/grants.html. How they count is in
`key_policies.py`. A grant cannot pass itself on: CreateGrant as one of its operations is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation
from bastide.kms import errors, pages, records
from bastide.kms.keys import GRANT_TOKENS
from bastide.kms.model import Grant, Key, Params
from bastide.kms.ports import Access, Names
from bastide.kms.vault import Vault

GRANTS_MAX = 50_000  # on one key
GRANTS_LIMIT_DEFAULT = 50
# What is done here, of all that a grant may name.
OPERATIONS = frozenset(
    {
        "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
        "GenerateMac", "GetPublicKey", "ReEncryptFrom", "ReEncryptTo", "RetireGrant", "Sign",
        "Verify", "VerifyMac",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    vault: Vault
    names: Names
    access: Access

    @operation(
        "KeyId", "GranteePrincipal", "RetiringPrincipal", "Operations",
        "Constraints.EncryptionContextSubset", "Constraints.EncryptionContextEquals", "Name",
        "DryRun", accepted=GRANT_TOKENS,
    )  # fmt: skip
    def create_grant(self, call: Call, req: Params) -> Params:
        key = self.vault.key(call, req["KeyId"])
        self.vault.check_enabled(key)
        made = self._asked(call, key, req)
        if req.get("DryRun"):
            raise errors.dry_run()

        def work(c: Connection) -> Grant:
            held = records.grants_on(c, call.account, key.id)
            same = [one for one in held if made.name and _alike(one, made)]
            if same:
                return same[0]
            if len(held) >= GRANTS_MAX:
                raise ServiceError("LimitExceededException", f"A key has {GRANTS_MAX} grants.")
            records.add_grant(c, made)
            return made

        grant = self.vault.write(work)
        return {"GrantId": grant.id, "GrantToken": _token(grant)}

    @operation("KeyId", "GrantId", "GranteePrincipal", "Limit", "Marker")
    def list_grants(self, call: Call, req: Params) -> Params:
        key, limit = self.vault.key(call, req["KeyId"]), pages.limit_of(req, GRANTS_LIMIT_DEFAULT)
        wanted = self._filter(call, req)
        held = self.vault.database.read(
            lambda c: records.grants_on(c, call.account, key.id, pages.after(req))
        )
        found = [one for one in held if wanted(one)]
        return self._page(call, found, limit)

    @operation("RetiringPrincipal", "Limit", "Marker")
    def list_retirable_grants(self, call: Call, req: Params) -> Params:
        limit = pages.limit_of(req, GRANTS_LIMIT_DEFAULT)
        retiring = self._unique_id(call, _required(req, "RetiringPrincipal"))
        labels = self.vault.labels_seen(call.principal)
        found = self.vault.database.read(
            lambda c: records.grants_retired_by(
                c, call.account, retiring, labels, pages.after(req), limit + 1
            )
        )
        return self._page(call, found, limit)

    @operation("GrantToken", "KeyId", "GrantId", "DryRun")
    def retire_grant(self, call: Call, req: Params) -> Params:
        """By whoever the grant names for it, by its grantee if that is one of its operations, or
        by whom the key's policies let."""
        grant = self._named(call, req)
        if self.vault.key(call, grant.key_id).label != call.principal.session.text:
            raise _no_grant(grant.id)  # no write down
        own = {call.principal.user_id, call.principal.user_id.partition(":")[0]}
        by_grant = grant.retiring in own or (
            grant.grantee in own and "RetireGrant" in grant.operations
        )
        arn = self._arn(call, grant.key_id)
        if not by_grant and not self.access.standing(call, {}).permits("kms:RetireGrant", arn):
            raise ServiceError(
                "AccessDeniedException",
                f"User: {call.principal.arn} is not authorized to perform: kms:RetireGrant "
                f"on resource: {arn}",
                status=400,
            )
        return self._drop(req, grant)

    @operation("KeyId", "GrantId", "DryRun")
    def revoke_grant(self, call: Call, req: Params) -> Params:
        return self._drop(req, self._by_id(call, req["KeyId"], req["GrantId"]))

    def _drop(self, req: Params, grant: Grant) -> Params:
        if req.get("DryRun"):
            raise errors.dry_run()
        self.vault.write(lambda c: records.drop_grant(c, grant))
        return {}

    def _asked(self, call: Call, key: Key, req: Params) -> Grant:
        if not req["Operations"]:
            raise errors.invalid("A grant permits at least one operation.")
        for name in req["Operations"]:
            if name not in OPERATIONS:
                raise unsupported(call.operation, f"The grant operation {name}")
        constraints = req.get("Constraints") or {}
        subset = constraints.get("EncryptionContextSubset") or {}
        equals = constraints.get("EncryptionContextEquals") or {}
        if subset and equals:
            raise errors.invalid("A grant has one constraint on the encryption context.")
        retiring = req.get("RetiringPrincipal")
        return Grant(
            id=self.vault.ids.token(32).hex(),
            account=call.account,
            key_id=key.id,
            grantee=self._unique_id(call, _required(req, "GranteePrincipal")),
            retiring=self._unique_id(call, retiring) if retiring else "",
            operations=sorted(set(req["Operations"])),
            created_ms=self.vault.now_ms(),
            name=req.get("Name") or "",
            subset=subset,
            equals=equals,
        )

    def _unique_id(self, call: Call, arn: str) -> str:
        found = self.names.id_of(call.account, arn)
        if found is None:
            raise ServiceError("InvalidArnException", f"{arn} is no principal of this account.")
        return found

    def _named(self, call: Call, req: Params) -> Grant:
        if req.get("GrantToken"):
            grant_id = req["GrantToken"].removeprefix(_TOKEN)
            found = self.vault.database.read(
                lambda c: records.find_grant(c, call.account, grant_id)
            )
            if found is None:
                raise ServiceError("InvalidGrantTokenException", "No grant has this token.")
            if req.get("KeyId") and self.vault.key(call, req["KeyId"]).id != found.key_id:
                raise errors.invalid("The grant is another key's.")  # whose alias says nothing
            return found
        if not req.get("KeyId") or not req.get("GrantId"):
            raise errors.invalid("Name a grant by its token, or by its key and its id.")
        return self._by_id(call, req["KeyId"], req["GrantId"])

    def _by_id(self, call: Call, text: str, grant_id: str) -> Grant:
        key = self.vault.key(call, text)
        found = self.vault.database.read(lambda c: records.find_grant(c, call.account, grant_id))
        if found is None or found.key_id != key.id:
            raise _no_grant(grant_id)
        return found

    def _filter(self, call: Call, req: Params) -> Callable[[Grant], bool]:
        wanted_id, grantee = req.get("GrantId"), req.get("GranteePrincipal")
        unique = self._unique_id(call, grantee) if grantee else None
        return lambda one: wanted_id in (None, one.id) and unique in (None, one.grantee)

    def _page(self, call: Call, found: list[Grant], limit: int) -> Params:
        return pages.answer(
            "Grants", found, limit, lambda grant: grant.id, lambda grant: self._shown(call, grant)
        )

    def _shown(self, call: Call, grant: Grant) -> Params:
        shown: Params = {
            "KeyId": self._arn(call, grant.key_id),
            "GrantId": grant.id,
            "CreationDate": moment(grant.created_ms),
            "GranteePrincipal": self.names.arn_of(call.account, grant.grantee),
            "IssuingAccount": f"arn:{call.region.partition}:iam::{grant.account}:root",
            "Operations": list(grant.operations),
        }
        if grant.name:
            shown["Name"] = grant.name
        if grant.retiring:
            shown["RetiringPrincipal"] = self.names.arn_of(call.account, grant.retiring)
        for member, value in (
            ("EncryptionContextSubset", grant.subset),
            ("EncryptionContextEquals", grant.equals),
        ):
            if value:
                shown["Constraints"] = {member: dict(value)}
        return shown

    def _arn(self, call: Call, key_id: str) -> str:
        return f"arn:{call.region.partition}:kms:{call.region.name}:{call.account}:key/{key_id}"


_TOKEN = "grant-"  # noqa: S105 - it names a grant, and opens nothing by itself


def _required(req: Params, member: str) -> str:
    """AWS's services, whose principals another member names, are none of this region's."""
    value = req.get(member)
    if not value:
        raise errors.invalid(f"{member} is required.")
    return str(value)


def _no_grant(grant_id: str) -> ServiceError:
    return ServiceError("NotFoundException", f"Grant ID {grant_id} not found")


def _token(grant: Grant) -> str:
    return _TOKEN + grant.id


def _alike(one: Grant, other: Grant) -> bool:
    """A request that is sent twice, with a name, makes one grant."""
    return (
        one.name == other.name
        and one.grantee == other.grantee
        and one.retiring == other.retiring
        and list(one.operations) == list(other.operations)
        and one.subset == other.subset
        and one.equals == other.equals
    )

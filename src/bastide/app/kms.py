"""KMS, joined to the key database, to the keyring and to policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.kernel.approvals import Approvals, Kind
from bastide.kernel.call import Call, Principal
from bastide.kms.aliases import Aliases, alias_target, aliases_of
from bastide.kms.clockwork import Clockwork
from bastide.kms.deletion import WINDOW_MIN_DAYS, Calendar, Deletion
from bastide.kms.encryption import Encryption
from bastide.kms.grants import Grants
from bastide.kms.key_policies import KeyPolicies, KeyRules
from bastide.kms.keys import Keys
from bastide.kms.rotation import Rotation
from bastide.kms.signing import Signing
from bastide.kms.tags import Tags, label_of, tags_of
from bastide.kms.vault import Vault
from bastide.policy.checks import PolicyChecks


@dataclass(frozen=True, slots=True)
class TwoCustodians:
    """`kms.ports.Approvals`: a key goes when two custodians of the region have signed for it. Its
    own pending window is the waiting time then."""

    approvals: Approvals

    def check(self, call: Call, action: str, key_arn: str) -> None:
        deletion = {
            "action": action,
            "account": call.account,
            "key": key_arn,
            "pending_window_days": WINDOW_MIN_DAYS,  # at the least
        }
        self.approvals.require(Kind.KEY_DELETION, deletion, call.principal.arn)


@dataclass(frozen=True, slots=True)
class KeyPolicyCheck:
    """Judges a key policy before it is kept, and shows what was kept."""

    checks: PolicyChecks
    identity: Identity

    def checked(self, account: str, document: str) -> str:
        self.checks.check(document, "resource", "MalformedPolicyDocumentException")
        return self.identity.names.bound(account, document, "MalformedPolicyDocumentException")

    def shown(self, account: str, document: str) -> str:
        return self.identity.names.shown(account, document)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyService:
    """What others ask of KMS; policy's part of it is in `ResourceSources`."""

    vault: Vault
    rules: KeyRules
    clockwork: Clockwork
    handlers: dict[str, list[object]]

    def alias_target(self, principal: Principal, alias: str) -> str | None:
        return alias_target(self.vault, principal, alias)

    def key_aliases(self, principal: Principal, key_id: str) -> Sequence[str]:
        return aliases_of(self.vault, principal, key_id)

    def sealing_key(self, blob: bytes) -> str | None:
        return self.vault.sealing_key(blob) or None

    def key_policies(
        self, account: str, key_id: str, encryption: Mapping[str, str]
    ) -> Sequence[tuple[str, str]] | None:
        return self.rules.of(account, key_id, encryption)


def _nothing(connection: Connection) -> None:
    return


def open_kms(core: Core, identity: Identity, approvals: Approvals) -> KeyService:
    vault = Vault(
        region=core.region,
        database=core.keyring.database,
        # Records of calls are queued in the region's database: a write behind them waits for them.
        audited=lambda: core.database.write(_nothing),
        keyring=core.keyring,
        clock=core.clock,
        ids=core.ids,
        labelling=identity.labelling,
    )
    access = identity.authorizer
    documents = KeyPolicyCheck(identity.checks, identity)
    rules = KeyRules(vault=vault, access=access, documents=documents)
    handlers: list[object] = [
        Keys(vault=vault, rules=rules),
        KeyPolicies(rules=rules),
        Aliases(vault=vault),
        Encryption(vault=vault),
        Signing(vault=vault),
        Rotation(vault=vault),
        Deletion(vault=vault, approvals=TwoCustodians(approvals)),
        Grants(vault=vault, names=identity.names, access=access),
        Tags(vault=vault),
    ]
    identity.resources.tagged["kms"] = lambda who, arn, _: tags_of(vault, who, arn)
    identity.resources.labelled["kms"] = lambda who, arn, _: label_of(vault, who, arn)
    made = KeyService(
        vault=vault,
        rules=rules,
        clockwork=Clockwork(Calendar(vault=vault)),
        handlers={"kms": handlers},
    )
    identity.resources.keys = made
    return made

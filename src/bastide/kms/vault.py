"""Where keys are found, and the one place where what they are made of is in the clear.

A key's material is wrapped by the region's keyring under the key of its agency and label, and
bound to both, to its id and to its version.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.ids import Ids
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.regions import Region
from bastide.kms import ciphertext, errors, records, specs
from bastide.kms.model import Key, Material, State, Usage
from bastide.kms.ports import Keyring

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """`database` is the key database; `audited` returns when the records of all calls so far are
    durable in the other one, so that nothing is done to a key that leaves no trace."""

    region: Region
    database: Database
    audited: Callable[[], None]
    keyring: Keyring
    clock: Clock
    ids: Ids
    labelling: Labelling

    def now_ms(self) -> int:
        return epoch_ms(self.clock.now())

    def arn(self, key: Key) -> str:
        return arns.regional(self.region, "kms", key.account, f"key/{key.id}")

    def find(self, account: str, key_id: str) -> Key | None:
        """The key, if it is still there: one whose day has come is gone already."""
        return self._living(self.database.read(lambda c: records.find(c, account, key_id)))

    def key(self, call: Call, text: str) -> Key:
        """By its id or ARN, as the caller's account names it. All else answers alike, and so does
        what the caller's session does not see."""
        found = self.seen(call.principal, self.id_of(call, text))
        if found is None:
            raise _absent(text)
        return found

    def seen(self, principal: Principal, key_id: str) -> Key | None:
        """The key, if it is there for this session."""
        found = self.find(principal.account, key_id)
        if found is None or not principal.session.dominates(self.label_of(found)):
            return None
        return found

    def label_of(self, key: Key) -> Label:
        return self.labelling.scheme.parse(key.label)

    def labels_seen(self, principal: Principal) -> list[str]:
        """The markings of the account's keys that a session sees, its own first."""
        used = self.database.read(lambda c: records.labels_of(c, principal.account))
        parse, session = self.labelling.scheme.parse, principal.session
        found = [text for text in used if session.dominates(parse(text))]
        return sorted(found, key=lambda text: (text != session.text, text))

    def usable(self, call: Call, text: str, usage: Usage) -> Key:
        """A key that may do this kind of work now."""
        key = self.key(call, text)
        self.check_enabled(key)
        if key.usage is not usage:
            operation = call.operation.partition(".")[2]
            raise errors.wrong_usage(self.arn(key), key.usage.value, operation)
        return key

    def check_enabled(self, key: Key) -> None:
        self.check_not_pending(key)
        if key.state is State.DISABLED:
            raise errors.disabled(self.arn(key))

    def check_not_pending(self, key: Key) -> None:
        if key.state is State.PENDING_DELETION:
            raise errors.pending_deletion(self.arn(key))

    def change(self, call: Call, text: str, work: Callable[[Key], Key]) -> Key:
        """Read, change and keep a key in one transaction; `work` may refuse."""
        key_id = self.id_of(call, text)

        def changed(c: Connection) -> Key:
            found = self._living(records.find(c, call.account, key_id))
            if found is None or not call.principal.session.dominates(self.label_of(found)):
                raise _absent(text)
            after = work(found)
            records.save(c, after)
            return after

        return self.write(changed)

    def write(self, work: Callable[[Connection], T]) -> T:
        self.audited()
        return self.database.write(work)

    def id_of(self, call: Call, text: str) -> str:
        return text.removeprefix(arns.regional(self.region, "kms", call.account, "key/"))

    def material(self, key: Key, number: int, reason: str = "") -> tuple[Material, bytes]:
        """A new version, and its secret."""
        secret, public = specs.made(key.spec, self.ids)
        kek = self.keyring.current(key.account, key.label)
        made = Material(
            key_id=key.id, number=number, kek_id=kek.id,
            wrapped=self.keyring.wrap(kek, secret, _wrap_aad(key, number)), public=public,
            created_ms=self.now_ms(), reason=reason,
        )  # fmt: skip
        return made, secret

    def secret(self, key: Key, number: int | None = None) -> bytes:
        """What a version is made of; the newest one's if no number is given."""
        held = self.version(key, key.version if number is None else number)
        try:
            kek = self.keyring.by_id(held.kek_id)
        except KeyError:
            raise errors.shredded() from None
        return self.keyring.unwrap(kek, held.wrapped, _wrap_aad(key, held.number))

    def version(self, key: Key, number: int) -> Material:
        held = self.database.read(lambda c: records.version(c, key, number))
        if held is None:  # it went since it was found
            raise errors.no_key(self.arn(key))
        return held

    def sealing_key(self, blob: bytes) -> str:
        """The id of the key that made a ciphertext, as it says itself; "" if it says none."""
        head = ciphertext.head_of(blob)
        return head.key_id if head else ""

    def seal(self, key: Key, plain: bytes, encryption: Mapping[str, str]) -> bytes:
        return ciphertext.seal(key, self.secret(key), plain, encryption, self.ids)

    def open(self, key: Key, blob: bytes, encryption: Mapping[str, str]) -> bytes:
        """What a symmetric key sealed. The same error whatever about it is wrong."""
        head = ciphertext.head_of(blob)
        if head is None or not 1 <= head.version <= key.version:
            raise errors.not_a_ciphertext()
        if head.key_id != key.id:
            raise errors.another_key()
        try:
            return ciphertext.open_(key, self.secret(key, head.version), blob, encryption)
        except ciphertext.NotSealed:
            raise errors.not_a_ciphertext() from None

    def _living(self, key: Key | None) -> Key | None:
        gone = key is not None and key.deletion_ms is not None and key.deletion_ms <= self.now_ms()
        return None if gone else key


def _absent(text: str) -> Exception:
    is_alias = text.startswith("alias/") or ":alias/" in text
    return errors.no_alias(text) if is_alias else errors.no_key(text)


def _wrap_aad(key: Key, number: int) -> bytes:
    return ciphertext.fields("bastide-kms|1", key.account, key.label, key.id, str(number))

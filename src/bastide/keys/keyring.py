"""The region's keys, in a database of their own, so that a backup of the data holds none of them.

master key → region key → one row for each (account, label) → versions of a key-encryption key
(KEK) → data keys, wrapped. Everything is AES-256-GCM; what a ciphertext belongs to is in its
additional data. Sealing derives a key for each purpose and message, so that no nonce is ever used
twice under one key.
"""

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bastide.db.database import Database
from bastide.keys import records
from bastide.keys.records import Sealed
from bastide.keys.region_keys import KEY_SIZE, RegionKeys

FAMILIES_MAX = 4096  # in memory; 11,000 agencies take turns
LABEL_MAX = 4096
ROTATE_BATCH = 250  # one commit: calls wait no longer than for it
_NONCE = 12
_SALT = 16
_FIRST_FORM = b"\x01"  # under the first region key
_FORM = b"\x02"  # names the region key
_VERSION = 4


@dataclass(frozen=True, slots=True)
class Kek:
    """One version of an agency's key for one label."""

    id: str
    key: bytes

    def __repr__(self) -> str:
        return f"Kek(id={self.id!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """What there is of one agency's key for one label: its versions' ids, the newest last."""

    account: str
    label: str
    living: tuple[str, ...]
    destroyed: tuple[str, ...]


class _Family(msgspec.Struct, frozen=True):
    """All versions under one (account, label); `None` marks a destroyed one."""

    account: str
    label: str
    versions: dict[str, bytes | None]

    def newest(self) -> Kek | None:
        for kek_id, key in reversed(self.versions.items()):
            if key is not None:
                return Kek(kek_id, key)
        return None

    def grown(self, stem: str) -> tuple["_Family", Kek]:
        kek = Kek(f"{stem}-{len(self.versions) + 1}", secrets.token_bytes(KEY_SIZE))
        return _Family(self.account, self.label, {**self.versions, kek.id: kek.key}), kek


class Keyring:
    """Safe to use from many threads. `database` is the key database."""

    def __init__(self, database: Database, region_keys: RegionKeys) -> None:
        self.database = database
        self._region_keys = region_keys
        self._families: OrderedDict[str, _Family] = OrderedDict()
        self._lock = threading.RLock()

    def current(self, account: str, label: str) -> Kek:
        """The newest version; made on first use."""
        stem = _stem(account, label)
        with self._lock:
            family = self._family(stem)
            kek = family.newest() if family is not None else None
            return kek if kek is not None else self._grow(stem, account, label)

    def by_id(self, kek_id: str) -> Kek:
        """KeyError if it is unknown or was destroyed."""
        stem, _, version = kek_id.rpartition("-")
        if not version or not _is_stem(stem):
            raise KeyError(kek_id)
        with self._lock:
            family = self._family(stem)
        key = family.versions.get(kek_id) if family is not None else None
        if key is None:
            raise KeyError(kek_id)
        return Kek(kek_id, key)

    def rotate(self, account: str, label: str) -> Kek:
        """A new version; older ones still open what they wrapped."""
        with self._lock:
            return self._grow(_stem(account, label), account, label)

    def rotate_all(self) -> Iterator[int]:
        """A new region key, and under it a new version of every key that is not destroyed, batch
        by batch; how many each time. Ended half-way, everything is readable, and it may be begun
        again."""
        self._region_keys.renew()
        after = ""
        while True:
            with self._lock:
                batch = self._page("", after)
                self._replace(batch, [self._renewed(row) for row in batch])
            if not batch:
                return
            after = batch[-1].stem
            yield len(batch)

    def count(self) -> int:
        return self.database.read(records.count)

    def destroy(self, account: str, label: str) -> list[str]:
        """Forget every version: what they wrapped can never be read again. Answers their ids."""
        stem = _stem(account, label)
        with self._lock:
            row = self.database.read(lambda c: records.find(c, stem))
            if row is None:
                return []
            family = self._opened_family(row)
            lost = [kek_id for kek_id, key in family.versions.items() if key is not None]
            gone = _Family(family.account, family.label, dict.fromkeys(family.versions))
            self._replace([row], [gone])
            self.database.scrub()
            return lost

    def states(self, account: str = "") -> Iterator[KeyState]:
        """Every key of `account`, or of all of them."""
        after = ""
        while page := self._page(account, after):
            after = page[-1].stem
            for row in page:
                family = self._opened_family(row)
                yield KeyState(
                    account=family.account,
                    label=family.label,
                    living=tuple(one for one, key in family.versions.items() if key is not None),
                    destroyed=tuple(one for one, key in family.versions.items() if key is None),
                )

    def wrap(self, kek: Kek, dek: bytes, aad: bytes) -> bytes:
        """A data key that only `kek`, and only with `aad`, gives back."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(kek.key).encrypt(nonce, dek, _bound(kek.id.encode(), aad))

    def unwrap(self, kek: Kek, wrapped: bytes, aad: bytes) -> bytes:
        """ValueError if it was tampered with, or belongs to another key or `aad`."""
        return _opened(kek.key, wrapped, _bound(kek.id.encode(), aad))

    def seal(self, purpose: str, plain: bytes, aad: bytes = b"") -> bytes:
        """A region-level small secret. Another purpose or `aad` does not open it."""
        salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
        version = self._region_keys.newest
        key = self._message_key(version, purpose, salt)
        sealed = AESGCM(key).encrypt(nonce, plain, _bound(purpose.encode(), aad))
        return _FORM + version.to_bytes(_VERSION, "big") + salt + nonce + sealed

    def open(self, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes:
        """ValueError if it was tampered with."""
        version, body = _split(sealed)
        try:
            key = self._message_key(version, purpose, body[:_SALT])
        except KeyError:
            raise ValueError("not sealed by this keyring") from None
        return _opened(key, body[_SALT:], _bound(purpose.encode(), aad))

    def close(self) -> None:
        self.database.close()

    def _message_key(self, version: int, purpose: str, salt: bytes) -> bytes:
        """One key for each message: random nonces under one key would wear out in months."""
        return hmac.digest(self._region_keys.of(version, purpose), salt, "sha256")

    def _family(self, stem: str) -> _Family | None:
        family = self._families.get(stem)
        if family is not None:
            self._families.move_to_end(stem)
            return family
        row = self.database.read(lambda c: records.find(c, stem))
        if row is None:
            return None
        family = self._opened_family(row)
        self._keep(stem, family)
        return family

    def _opened_family(self, row: Sealed) -> _Family:
        plain = self.open("kek-file", row.sealed, row.stem.encode())
        return msgspec.msgpack.decode(plain, type=_Family)

    def _renewed(self, row: Sealed) -> _Family:
        family = self._opened_family(row)
        return family if family.newest() is None else family.grown(row.stem)[0]

    def _sealed_family(self, stem: str, family: _Family) -> bytes:
        return self.seal("kek-file", msgspec.msgpack.encode(family), stem.encode())

    def _grow(self, stem: str, account: str, label: str) -> Kek:
        row = self.database.read(lambda c: records.find(c, stem))
        if row is None:
            family, kek = _Family(account, label, {}).grown(stem)
            sealed = self._sealed_family(stem, family)
            self.database.write(lambda c: records.add(c, stem, sealed))
            self._keep(stem, family)
        else:
            family, kek = self._opened_family(row).grown(stem)
            self._replace([row], [family])
        return kek

    def _replace(self, had: list[Sealed], families: list[_Family]) -> None:
        sealed = [
            self._sealed_family(row.stem, family) for row, family in zip(had, families, strict=True)
        ]
        changed = self.database.write(lambda c: records.replace(c, had, sealed))
        assert changed == len(had), "another process writes this region's keys"
        for row, family in zip(had, families, strict=True):
            if row.stem in self._families:
                self._families[row.stem] = family

    def _page(self, account: str, after: str) -> list[Sealed]:
        return self.database.read(lambda c: records.page(c, account, after, ROTATE_BATCH))

    def _keep(self, stem: str, family: _Family) -> None:
        self._families[stem] = family
        self._families.move_to_end(stem)
        if len(self._families) > FAMILIES_MAX:
            self._families.popitem(last=False)


def _split(sealed: bytes) -> tuple[int, bytes]:
    """The version of the region key, and what is sealed under it."""
    if sealed[:1] == _FORM and len(sealed) >= 1 + _VERSION + _SALT + _NONCE + 16:
        return int.from_bytes(sealed[1 : 1 + _VERSION], "big"), sealed[1 + _VERSION :]
    if sealed[:1] == _FIRST_FORM and len(sealed) >= 1 + _SALT + _NONCE + 16:
        return 1, sealed[1:]
    raise ValueError("not sealed by this keyring")


def _stem(account: str, label: str) -> str:
    """What a family's row and its keys' ids begin with; a label itself may be a secret."""
    if len(account) != 12 or not account.isascii() or not account.isdigit():
        raise ValueError(f"not an account id: {account[:16]!r}")
    if len(label) > LABEL_MAX:
        raise ValueError("the label is too long")
    return f"{account}-{sha256(label.encode()).hexdigest()[:32]}"


def _is_stem(stem: str) -> bool:
    """Whether a key id's beginning may name a row: nothing else is looked up."""
    account, _, digest = stem.partition("-")
    return (
        len(account) == 12
        and len(digest) == 32
        and set(account) <= set("0123456789")
        and set(digest) <= set("0123456789abcdef")
    )


def _bound(context: bytes, aad: bytes) -> bytes:
    return len(context).to_bytes(4, "big") + context + aad


def _opened(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], aad)
    except (InvalidTag, ValueError):
        raise ValueError("tampered with, or sealed for something else") from None

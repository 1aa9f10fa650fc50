"""The region's keys, kept in files outside the database so that destroying one is final.

master key → one file for each (account, label), sealed under it → versions of a key-encryption
key (KEK) → data keys, wrapped. Everything is AES-256-GCM; what a ciphertext belongs to is in
its additional data. Sealing derives a key for each purpose and message, so that no nonce is
ever used twice under one key.
"""

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bastide.db import durable
from bastide.keys.master import load_master

KEY_SIZE = 32
FILES_MAX = 4096  # in memory; 11,000 agencies take turns
LABEL_MAX = 4096
_NONCE = 12
_SALT = 16
_FORM = b"\x01"


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


class Keyring:
    """`folder` holds `master.key` and `keks/`. Safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        self._keks = folder / "keks"
        durable.folder(folder)
        self._root = load_master(folder / "master.key", self._keks)
        durable.folder(self._keks)
        self._families: OrderedDict[str, _Family] = OrderedDict()
        self._purposes: dict[str, bytes] = {}
        self._lock = threading.RLock()

    def current(self, account: str, label: str) -> Kek:
        """The newest version; made on first use."""
        stem = _stem(account, label)
        with self._lock:
            family = self._family(stem)
            kek = family.newest() if family is not None else None
            return kek if kek is not None else self._grow(stem, account, label, family)

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
        stem = _stem(account, label)
        with self._lock:
            return self._grow(stem, account, label, self._family(stem))

    def destroy(self, account: str, label: str) -> list[str]:
        """Forget every version: what they wrapped can never be read again. Answers their ids."""
        stem = _stem(account, label)
        with self._lock:
            family = self._family(stem)
            if family is None:
                return []
            lost = [kek_id for kek_id, key in family.versions.items() if key is not None]
            versions = dict.fromkeys(family.versions)
            self._store(stem, _Family(family.account, family.label, dict(versions)))
            return lost

    def states(self, account: str = "") -> Iterator[KeyState]:
        """Every key of `account`, or of all of them."""
        for path in sorted(self._keks.glob(f"{account}*.kek")):
            family = self._read(path.stem)
            if family is not None:
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
        key = self._message_key(purpose, salt)
        sealed = AESGCM(key).encrypt(nonce, plain, _bound(purpose.encode(), aad))
        return _FORM + salt + nonce + sealed

    def open(self, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes:
        """ValueError if it was tampered with."""
        if sealed[:1] != _FORM or len(sealed) < 1 + _SALT + _NONCE + 16:
            raise ValueError("not sealed by this keyring")
        key = self._message_key(purpose, sealed[1 : 1 + _SALT])
        return _opened(key, sealed[1 + _SALT :], _bound(purpose.encode(), aad))

    def _message_key(self, purpose: str, salt: bytes) -> bytes:
        """One key for each message: random nonces under one key would wear out in months."""
        key = self._purposes.get(purpose)
        if key is None:
            info = b"bastide/keyring/" + purpose.encode()
            key = HKDF(SHA256(), KEY_SIZE, salt=None, info=info).derive(self._root)
            self._purposes[purpose] = key
        return hmac.digest(key, salt, "sha256")

    def _family(self, stem: str) -> _Family | None:
        family = self._families.get(stem)
        if family is not None:
            self._families.move_to_end(stem)
            return family
        family = self._read(stem)
        if family is not None:
            self._keep(stem, family)
        return family

    def _read(self, stem: str) -> _Family | None:
        try:
            sealed = self._path(stem).read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.msgpack.decode(self.open("kek-file", sealed, stem.encode()), type=_Family)

    def _grow(self, stem: str, account: str, label: str, family: _Family | None) -> Kek:
        known = family.versions if family is not None else {}
        kek = Kek(f"{stem}-{len(known) + 1}", secrets.token_bytes(KEY_SIZE))
        self._store(stem, _Family(account, label, {**known, kek.id: kek.key}))
        return kek

    def _store(self, stem: str, family: _Family) -> None:
        plain = msgspec.msgpack.encode(family)
        durable.replace(self._path(stem), self.seal("kek-file", plain, stem.encode()))
        self._keep(stem, family)

    def _keep(self, stem: str, family: _Family) -> None:
        self._families[stem] = family
        self._families.move_to_end(stem)
        if len(self._families) > FILES_MAX:
            self._families.popitem(last=False)

    def _path(self, stem: str) -> Path:
        return self._keks / f"{stem}.kek"


def _stem(account: str, label: str) -> str:
    """What a family's file and its keys' ids begin with; a label itself may be a secret."""
    if len(account) != 12 or not account.isascii() or not account.isdigit():
        raise ValueError(f"not an account id: {account[:16]!r}")
    if len(label) > LABEL_MAX:
        raise ValueError("the label is too long")
    return f"{account}-{sha256(label.encode()).hexdigest()[:32]}"


def _is_stem(stem: str) -> bool:
    """Whether a key id's beginning may name a file: nothing else ever reaches the disk."""
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

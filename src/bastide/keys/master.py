"""The master key: what everything else is wrapped under, and what only wraps.

Held in a file by default: made once, whole and durable, for its owner's eyes only. Whoever reads
that file and the key database has every key; where that is not good enough, the master is in a
hardware module (`pkcs11_master.py`), which never gives it away.
"""

import hmac
import secrets
import stat
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bastide.db import durable

MASTER_SIZE = 32
NONCE_SIZE = 12
_MAGIC = b"bastide-master-1"
_CHECK = 16


class Master(Protocol):
    """`id` tells one master from another, and nothing of what it is made of."""

    @property
    def id(self) -> str: ...

    def wrap(self, plain: bytes, aad: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """ValueError if it was tampered with, or wrapped by another, or for something else."""
        ...


class FileMaster:
    """A master key that is in a file."""

    def __init__(self, path: Path) -> None:
        self._key = _read(path)
        self.id = f"file:{sha256(b'bastide-master-id|' + self._key).hexdigest()[:32]}"

    @classmethod
    def at(cls, path: Path, *, is_new: bool) -> "FileMaster":
        """The one at `path`; a new one only where nothing was ever wrapped by another."""
        if not path.exists():
            if not is_new:
                raise FileNotFoundError(f"{path} is lost, but keys wrapped by it exist.")
            key = secrets.token_bytes(MASTER_SIZE)
            durable.create(path, _MAGIC + key + _check(key))
        return cls(path)

    def wrap(self, plain: bytes, aad: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_SIZE)
        return nonce + AESGCM(self._key).encrypt(nonce, plain, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        try:
            return AESGCM(self._key).decrypt(wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:], aad)
        except (InvalidTag, ValueError):
            raise ValueError("tampered with, or wrapped by another master key") from None

    def first_region_key(self) -> bytes:
        """What regions of version 0.1 sealed under: the master key itself."""
        return self._key


def _read(path: Path) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise PermissionError(f"{path} may be read by others: chmod 600 {path}")
    content = path.read_bytes()
    key = content[len(_MAGIC) : len(_MAGIC) + MASTER_SIZE]
    whole = hmac.compare_digest(content, _MAGIC + key + _check(key))
    if not whole or len(key) != MASTER_SIZE:
        raise ValueError(f"{path} is damaged: it is not a master key.")
    return key


def _check(key: bytes) -> bytes:
    return sha256(_MAGIC + key).digest()[:_CHECK]

"""The master key's file: made once, whole and durable, for its owner's eyes only."""

import hmac
import secrets
import stat
from hashlib import sha256
from pathlib import Path

from bastide.db import durable

MASTER_SIZE = 32
_MAGIC = b"bastide-master-1"
_CHECK = 16


def load_master(path: Path, keks: Path) -> bytes:
    """The master key at `path`; a new one only where no key was ever sealed under another."""
    if not path.exists():
        if keks.is_dir() and any(keks.glob("*.kek")):
            raise FileNotFoundError(f"{path} is lost, but keys sealed under it exist in {keks}.")
        key = secrets.token_bytes(MASTER_SIZE)
        durable.create(path, _MAGIC + key + _check(key))
    return _read(path)


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

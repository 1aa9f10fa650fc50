"""The form of what a symmetric key encrypts: it says which key and version made it.

    "BK1" | key id (16) | version (4) | salt (16) | nonce (12) | AES-256-GCM ciphertext and tag

Each message has a key of its own, derived with its salt, so that random nonces never wear a key
out. The AAD is all before the ciphertext, the agency, the label and the encryption context.
"""

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bastide.kernel.ids import Ids
from bastide.kms.model import Key

_MAGIC = b"BK1"
_HEAD = struct.Struct(">3s16sI16s12s")
_TAG = 16


class NotSealed(Exception):
    """It is no ciphertext, or not of this key, version and encryption context."""


@dataclass(frozen=True, slots=True)
class Head:
    """Which key and version made a ciphertext, as it says itself: nothing is proved yet."""

    key_id: str
    version: int


def head_of(blob: bytes) -> Head | None:
    if len(blob) < _HEAD.size + _TAG or blob[: len(_MAGIC)] != _MAGIC:
        return None
    _, key_id, version, _, _ = _HEAD.unpack_from(blob)
    return Head(str(UUID(bytes=key_id)), version)


def seal(key: Key, secret: bytes, plain: bytes, encryption: Mapping[str, str], ids: Ids) -> bytes:
    salt, nonce = ids.token(16), ids.token(12)
    head = _HEAD.pack(_MAGIC, UUID(key.id).bytes, key.version, salt, nonce)
    aad = head + _bound(key, encryption)
    return head + AESGCM(_message_key(secret, salt)).encrypt(nonce, plain, aad)


def open_(key: Key, secret: bytes, blob: bytes, encryption: Mapping[str, str]) -> bytes:
    """`secret` is of the version that the head names."""
    _, _, _, salt, nonce = _HEAD.unpack_from(blob)
    aad = blob[: _HEAD.size] + _bound(key, encryption)
    try:
        return AESGCM(_message_key(secret, salt)).decrypt(nonce, blob[_HEAD.size :], aad)
    except InvalidTag:
        raise NotSealed from None


def _message_key(secret: bytes, salt: bytes) -> bytes:
    return hmac.digest(secret, b"bastide-kms-message|" + salt, "sha256")


def _bound(key: Key, encryption: Mapping[str, str]) -> bytes:
    pairs = [part for pair in sorted(encryption.items()) for part in pair]
    return fields(key.account, key.label, *pairs)


def fields(*texts: str) -> bytes:
    """Each with its length, so that no two lists read alike."""
    coded = [text.encode() for text in texts]
    return b"".join(len(each).to_bytes(4, "big") + each for each in coded)

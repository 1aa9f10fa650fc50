"""The sealed form of a blob: AES-256-GCM in 256 KiB chunks, as a STREAM with key commitment.

    salt32 | commit32 | chunk 0 | chunk 1 | …      chunk = ciphertext | tag16
    key32 | commit32 = HKDF-SHA512(DEK, salt, AAD); nonce = 7 zeros | index (4) | last (1)

The AAD names the one place where the blob may appear, and no KEK: the wrapped DEK is kept in the
blob's database row, so that a rotation writes one row in a transaction and never a blob file.
The last flag stops truncation (STREAM, https://eprint.iacr.org/2015/189), the commitment stops
a second key (https://eprint.iacr.org/2019/016).
"""

import hmac
import struct
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CHUNK_SIZE = 256 * 1024
TAG_SIZE = 16
SEALED_CHUNK_SIZE = CHUNK_SIZE + TAG_SIZE
SALT_SIZE = 32
KEY_SIZE = 32
HEADER_SIZE = SALT_SIZE + 32
_FORMAT = b"bastide-object|1|AES-256-GCM|HKDF-SHA512|"


class Tampered(Exception):
    """Stored bytes are not what was sealed here: never the caller's fault, never answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a blob belongs. `object_id` is random for each version; parts count from 1, and a
    blob that is no part of a multipart upload is number 0."""

    account: str
    label: str
    bucket: str
    key: bytes
    object_id: str
    part: int = 0

    def aad(self) -> bytes:
        return _FORMAT + _fields(
            self.account.encode(),
            sha256(self.label.encode()).digest(),
            self.bucket.encode(),
            self.key,
            self.object_id.encode(),
            struct.pack(">I", self.part),
        )


def wrap_aad(account: str, label: str, object_id: str, part: int) -> bytes:
    """What a wrapped DEK is bound to: enough to be re-wrapped from its own row alone."""
    return b"bastide-dek|1|" + _fields(
        account.encode(), label.encode(), object_id.encode(), struct.pack(">I", part)
    )


def chunks_of(size: int) -> int:
    """An empty object has one empty chunk, so that it too is authenticated."""
    return max(1, -(-size // CHUNK_SIZE))


def sealed_size(size: int) -> int:
    return HEADER_SIZE + size + TAG_SIZE * chunks_of(size)


class Sealer:
    """Seals one blob, in order, under a fresh DEK and a fresh salt."""

    def __init__(self, dek: bytes, salt: bytes, place: Place) -> None:
        self._aad = place.aad()
        key, commitment = _derive(dek, salt, self._aad)
        self.header = salt + commitment
        self._cipher = AESGCM(key)
        self._index = 0

    def seal_into(self, plain: bytes | memoryview, out: memoryview, *, last: bool) -> int:
        """Seal whole chunks (the last may be short) into `out`; how many bytes that made."""
        view = memoryview(plain)
        written = start = 0
        while True:
            chunk = view[start : start + CHUNK_SIZE]
            start += CHUNK_SIZE
            is_last = last and start >= len(view)
            end = written + len(chunk) + TAG_SIZE
            nonce = _nonce(self._index, last=is_last)
            self._cipher.encrypt_into(nonce, chunk, self._aad, out[written:end])
            self._index += 1
            written = end
            if start >= len(view):
                return written


class Opener:
    """Opens any chunk of one blob. Nothing leaves before its tag was checked."""

    def __init__(self, dek: bytes, header: bytes, place: Place, size: int) -> None:
        self._aad = place.aad()
        if len(header) != HEADER_SIZE:
            raise Tampered("the blob has no header")
        key, commitment = _derive(dek, header[:SALT_SIZE], self._aad)
        if not hmac.compare_digest(commitment, header[SALT_SIZE:]):
            raise Tampered("the blob is not under this key, or not of this place")
        self._cipher = AESGCM(key)
        self._last = chunks_of(size) - 1
        self._size = size

    def chunk_size(self, index: int) -> int:
        """The size of a chunk's plain text."""
        return CHUNK_SIZE if index < self._last else self._size - self._last * CHUNK_SIZE

    def open_into(self, index: int, sealed: memoryview, out: memoryview) -> int:
        """Open one chunk into `out`; how many bytes that made."""
        size = self.chunk_size(index)
        if len(sealed) != size + TAG_SIZE:
            raise Tampered(f"chunk {index} was cut")
        nonce = _nonce(index, last=index == self._last)
        try:
            self._cipher.decrypt_into(nonce, sealed, self._aad, out[:size])
        except InvalidTag:
            raise Tampered(f"chunk {index} does not authenticate") from None
        return size


def _derive(dek: bytes, salt: bytes, aad: bytes) -> tuple[bytes, bytes]:
    made = HKDF(hashes.SHA512(), KEY_SIZE + 32, salt, aad).derive(dek)
    return made[:KEY_SIZE], made[KEY_SIZE:]


def _nonce(index: int, *, last: bool) -> bytes:
    return struct.pack(">7xIB", index, last)


def _fields(*fields: bytes) -> bytes:
    """Each field after its length, so that no two lists of fields read alike."""
    return b"".join(struct.pack(">I", len(field)) + field for field in fields)

"""What a chunk is on the disk: AES-256-GCM under a key of its partition, bound to its document.

The partition's key is wrapped by the agency's key for the label: that key's end is the end of all
that was put at the label, and a partition's row that is gone makes its chunks unreadable.
"""

import hmac
import json
import secrets
import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bastide.knowledge.index import records
from bastide.knowledge.index.lexical import words_of
from bastide.knowledge.index.model import Chunk, Found, Kb

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

KEY_BYTES, NONCE_BYTES, DIGEST_BYTES = 32, 12, 16
COUNT_MAX = 0xFFFF


class Keyring(Protocol):
    """`keys.keyring.Keyring`."""

    def current(self, account: str, label: str) -> Any: ...
    def by_id(self, kek_id: str) -> Any: ...
    def wrap(self, kek: Any, dek: bytes, aad: bytes) -> bytes: ...
    def unwrap(self, kek: Any, wrapped: bytes, aad: bytes) -> bytes: ...


class Shredded(Exception):
    """The agency's key for this label is no more."""


class Tampered(Exception):
    """What lies on the disk is not what was put there."""


class Searched(msgspec.Struct, array_like=True):
    """What of a chunk is kept in memory. `vector`: little-endian float32, b"" of none."""

    vector: bytes
    words: bytes
    counts: bytes
    length: int


@dataclass(frozen=True, slots=True)
class PartitionKey:
    _key: bytes
    _cipher: AESGCM

    @classmethod
    def of(cls, key: bytes) -> "PartitionKey":
        return cls(
            hmac.digest(key, b"bastide-knowledge|document", "sha256"),
            AESGCM(hmac.digest(key, b"bastide-knowledge|chunk", "sha256")),
        )

    def document(self, document_id: str) -> bytes:
        """A document's name on the disk."""
        said = document_id.encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, said, "sha256")[:DIGEST_BYTES]

    def sealed(self, chunk: Chunk, searched: "Searched") -> records.Sealed:
        document = self.document(chunk.document_id)
        told = [chunk.id, chunk.document_id, chunk.text, dict(chunk.metadata)]
        body = json.dumps(told).encode()  # it takes halves of surrogates too
        return records.Sealed(
            document,
            self.seal(body, b"body|" + document),
            self.seal(msgspec.msgpack.encode(searched), b"search|" + document),
        )

    def body(self, document: bytes, sealed: bytes, label: str) -> Found:
        id_, document_id, text, metadata = json.loads(self.open(sealed, b"body|" + document))
        return Found(id_, document_id, text, metadata, label)

    def searched(self, document: bytes, sealed: bytes) -> Searched:
        return msgspec.msgpack.decode(self.open(sealed, b"search|" + document), type=Searched)

    def seal(self, plain: bytes, place: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            raise Tampered("a chunk does not authenticate") from None


def new_partition(keyring: Keyring, kb: Kb, label: str) -> records.Row:
    kek = keyring.current(kb.account, label)
    wrapped = keyring.wrap(kek, secrets.token_bytes(KEY_BYTES), _place(kb, label))
    return records.Row(0, kb.account, kb.id, label, kek.id, wrapped)


def key_of(keyring: Keyring, row: records.Row) -> PartitionKey:
    try:
        kek = keyring.by_id(row.kek)
    except KeyError:
        raise Shredded from None
    place = _place(Kb(row.account, row.kb), row.label)
    try:
        return PartitionKey.of(keyring.unwrap(kek, row.wrapped, place))
    except ValueError:
        raise Tampered("a partition's key does not authenticate") from None


def _place(kb: Kb, label: str) -> bytes:
    fields = [b"bastide-knowledge|1", kb.account.encode(), kb.id.encode(), label.encode()]
    return sha256(b"".join(struct.pack(">I", len(each)) + each for each in fields)).digest()


def searched(chunk: Chunk) -> Searched:
    """ValueError where its vector is none."""
    import numpy as np

    found = words_of(chunk.text)
    words = np.array(list(found), "<u8")
    counts = np.array([min(count, COUNT_MAX) for count in found.values()], "<u2")
    vector = b"" if chunk.vector is None else unit(chunk.vector).tobytes()
    return Searched(vector, words.tobytes(), counts.tobytes(), found.total())


def unit(vector: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float32]":
    """Of length 1; all zeros where it has no direction. ValueError where it is no vector."""
    import numpy as np

    wide = np.asarray(vector, np.float64)
    if wide.ndim != 1 or not np.isfinite(wide).all():
        raise ValueError("a vector has finite numbers in one row")
    length = float(np.linalg.norm(wide))
    if not 0 < length < np.inf:
        return np.zeros(len(wide), "<f4")
    return np.asarray(wide / length, "<f4")

"""Signed checkpoints of a log, as text that anybody can keep and check.

Sources: https://c2sp.org/signed-note (Ed25519, type 0x01) and https://c2sp.org/tlog-checkpoint:
origin, size and root on a line each, an empty line, then one signature line for each signer.
"""

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NOTE_SIZE_MAX = 8192
_ED25519 = b"\x01"
_MARK = "\u2014 "


class BadNote(ValueError):
    """A note, or a verifier key, that is malformed or whose signature does not hold."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log's signer stands for: `size` leaves have the tree head `root`."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under the name that its notes carry."""

    name: str
    key: Ed25519PublicKey

    def text(self) -> str:
        """The verifier key: `name+hash+key`."""
        raw = self.key.public_bytes_raw()
        identity = _key_hash(self.name, raw).hex()
        return f"{self.name}+{identity}+{base64.b64encode(_ED25519 + raw).decode()}"

    def open(self, note: str) -> Checkpoint:
        """The checkpoint in `note` if this key signed it; BadNote otherwise."""
        text, signatures = _divide(note)
        expected = _key_hash(self.name, self.key.public_bytes_raw())
        for line in signatures:
            name, _, encoded = line.removeprefix(_MARK).partition(" ")
            signature = _decoded(encoded)
            if name == self.name and signature[:4] == expected:
                try:
                    self.key.verify(signature[4:], text.encode())
                except InvalidSignature:
                    raise BadNote("the signature does not hold") from None
                return _parsed(text, self.name)
        raise BadNote(f"there is no signature of {self.name}")


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key under the name that its notes carry; the name is the log's origin."""

    name: str
    key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(letter.isspace() for letter in self.name):
            raise ValueError(f"not a key name: {self.name!r}")

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.key.public_key())

    def sign(self, size: int, root: bytes) -> str:
        """The signed note of a checkpoint."""
        text = Checkpoint(self.name, size, root).text()
        raw = _key_hash(self.name, self.key.public_key().public_bytes_raw())
        signature = base64.b64encode(raw + self.key.sign(text.encode())).decode()
        return f"{text}\n{_MARK}{self.name} {signature}\n"


def parse_verifier(text: str) -> Verifier:
    """Read a verifier key such as a region's `audit.pub`."""
    name, _, rest = text.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    raw = _decoded(encoded)
    if not name or raw[:1] != _ED25519 or len(raw) != 33:
        raise BadNote("not an Ed25519 verifier key")
    if identity != _key_hash(name, raw[1:]).hex():
        raise BadNote("the verifier key's name, hash and key do not belong together")
    return Verifier(name, Ed25519PublicKey.from_public_bytes(raw[1:]))


def _key_hash(name: str, raw: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + raw).digest()[:4]


def _divide(note: str) -> tuple[str, list[str]]:
    text, gap, tail = note.rpartition("\n\n")
    if len(note) > NOTE_SIZE_MAX or not gap or not tail.endswith("\n"):
        raise BadNote("not a signed note")
    lines = tail[:-1].split("\n")
    if any(not line.startswith(_MARK) for line in lines):
        raise BadNote("not a signed note")
    return text + "\n", lines


def _parsed(text: str, origin: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) != 4 or lines[0] != origin or not lines[1].isascii() or len(lines[1]) > 19:
        raise BadNote("not a checkpoint of this log")
    root = _decoded(lines[2])
    if not lines[1].isdigit() or lines[1] != str(int(lines[1])) or len(root) != 32:
        raise BadNote("not a checkpoint of this log")
    return Checkpoint(origin, int(lines[1]), root)


def _decoded(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise BadNote("not canonical base64")
    return raw

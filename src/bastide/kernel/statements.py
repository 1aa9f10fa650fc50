"""What an officer signs, with a key of their own that no region ever holds.

A statement says which region, which request and which exact action it is about, so that no other
region, request or action takes it. Signed are its canonical JSON and a line in front of it that
nothing else begins with. Ed25519, or ECDSA P-384 with SHA-384 (CNSA).
"""

import base64
import binascii
from enum import StrEnum
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA384

from bastide.kernel.approvals import canonical

_FORM = b"bastide-officer-statement-1\n"
_SIGNATURE = ec.ECDSA(SHA384())

PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey
PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class BadKey(ValueError):
    """Not a key that officers may have."""


class Verdict(StrEnum):
    """What an officer says of a request."""

    ASK = "ask"  # its requester stands for it
    APPROVE = "approve"
    REJECT = "reject"
    BREAK_GLASS = "break-glass"  # do it now, on my word alone


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All but the last three are the request's. `wait_ms`: how long after the last signature."""

    region: str
    request: str
    kind: str
    digest: str
    requester: str
    expires_ms: int
    wait_ms: int
    nonce: str
    verdict: Verdict
    officer: str
    reason: str = ""

    def plain(self) -> dict[str, Any]:
        """As it is sent: JSON's own types."""
        decoded: dict[str, Any] = msgspec.to_builtins(self)
        return decoded

    def signed_bytes(self) -> bytes:
        return _FORM + canonical(self.plain()).encode()


def sign(statement: Statement, key: PrivateKey) -> str:
    """The signature, in base64."""
    payload = statement.signed_bytes()
    raw = key.sign(payload) if isinstance(key, Ed25519PrivateKey) else key.sign(payload, _SIGNATURE)
    return base64.b64encode(raw).decode()


def holds(statement: Statement, signature: str, key: PublicKey) -> bool:
    """Whether `key`'s owner signed exactly `statement`."""
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, Ed25519PublicKey):
            key.verify(raw, statement.signed_bytes())
        else:
            key.verify(raw, statement.signed_bytes(), _SIGNATURE)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def new_key(algorithm: str) -> PrivateKey:
    """`ed25519` or `p384`."""
    if algorithm == "ed25519":
        return Ed25519PrivateKey.generate()
    if algorithm == "p384":
        return ec.generate_private_key(ec.SECP384R1())
    raise BadKey(f"{algorithm} is not known: ed25519 or p384.")


def private_pem(key: PrivateKey, passphrase: bytes = b"") -> bytes:
    locked: Any = serialization.NoEncryption()
    if passphrase:
        locked = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


def public_pem(key: PublicKey) -> str:
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode()


def parse_public(pem: str) -> PublicKey:
    """BadKey unless it is the public half of a key that officers may have."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("This is not a public key in PEM.") from error
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1):
        return key
    raise BadKey("An officer's key is an Ed25519 or an ECDSA P-384 key.")


def parse_private(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """BadKey unless it is a key that officers may have. TypeError when it has a passphrase that
    was not given."""
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("This is not a private key in PEM, or the passphrase is wrong.") from error
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        return key
    raise BadKey("An officer's key is an Ed25519 or an ECDSA P-384 key.")


def fingerprint(key: PublicKey) -> str:
    """What names a key: the SHA-256 of its SubjectPublicKeyInfo."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return sha256(der).hexdigest()

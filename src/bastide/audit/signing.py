"""The region's audit keys: made on first start, readable by their owner only. Ed25519 signs the
log's checkpoints; RSA signs CloudTrail's digests, because that is what AWS's client checks."""

import hashlib
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.db import durable
from bastide.kernel.notes import Signer

PRIVATE = "audit.key"
PUBLIC = "audit.pub"
DIGESTS = "digests.key"
DIGEST_KEY_BITS = 3072
DIGEST_KEY_LIFE = timedelta(days=3650)
_MAGIC = b"bastide-audit-ed25519-1\n"


def load_signer(folder: Path, origin: str) -> Signer:
    """The signer whose key lives in `folder`; its public half is written to `audit.pub`."""
    durable.folder(folder)
    path = folder / PRIVATE
    if not path.exists():
        raw = Ed25519PrivateKey.generate().private_bytes_raw()
        durable.create(path, _MAGIC + raw.hex().encode() + b"\n")
    signer = Signer(origin, _read(path))
    public = signer.verifier.text() + "\n"
    published = folder / PUBLIC
    if not published.exists():
        durable.create(published, public.encode(), 0o644)
    elif published.read_text() != public:
        raise ValueError(f"{published} is not the public half of {path} for {origin}.")
    return signer


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestKey:
    """The public half of a key that signs CloudTrail's digests, or did. `public`: PKCS #1, DER."""

    public: bytes
    valid_from: datetime
    valid_until: datetime

    @property
    def fingerprint(self) -> str:
        """CloudTrail's name for a key, not what anybody's trust rests on."""
        return hashlib.md5(self.public, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class DigestSigner:
    """Signs CloudTrail's digests: RSASSA-PKCS1-v1_5 with SHA-256."""

    key: rsa.RSAPrivateKey
    valid_from: datetime

    @property
    def described(self) -> DigestKey:
        until = self.valid_from + DIGEST_KEY_LIFE
        return DigestKey(public=self.public, valid_from=self.valid_from, valid_until=until)

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.PKCS1
        )

    @property
    def fingerprint(self) -> str:
        return self.described.fingerprint

    def sign(self, text: bytes) -> bytes:
        return self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())


def new_digest_key() -> bytes:
    """As its file holds it: PEM."""
    made = rsa.generate_private_key(65537, DIGEST_KEY_BITS)
    return made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load_digest_signer(folder: Path) -> DigestSigner:
    """The signer whose key lies in `folder`; its file's time is when it was made."""
    path = folder / DIGESTS
    if not path.exists():
        durable.create(path, new_digest_key())
    key = serialization.load_pem_private_key(_private(path), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} is not an RSA key.")
    made_at = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    return DigestSigner(key, made_at)


def _private(path: Path) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise PermissionError(f"{path} may be read by others: chmod 600 {path}")
    return path.read_bytes()


def _read(path: Path) -> Ed25519PrivateKey:
    content = _private(path)
    try:
        raw = bytes.fromhex(content.removeprefix(_MAGIC).decode("ascii"))
        if not content.startswith(_MAGIC) or len(raw) != 32:
            raise ValueError("wrong length")
    except ValueError as error:
        raise ValueError(f"{path} is not an audit key.") from error
    return Ed25519PrivateKey.from_private_bytes(raw)

"""The region's audit key: made on first start, readable by its owner only."""

import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.db import durable
from bastide.kernel.notes import Signer

PRIVATE = "audit.key"
PUBLIC = "audit.pub"
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


def _read(path: Path) -> Ed25519PrivateKey:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise PermissionError(f"{path} may be read by others: chmod 600 {path}")
    content = path.read_bytes()
    try:
        raw = bytes.fromhex(content.removeprefix(_MAGIC).decode("ascii"))
        if not content.startswith(_MAGIC) or len(raw) != 32:
            raise ValueError("wrong length")
    except ValueError as error:
        raise ValueError(f"{path} is not an audit key.") from error
    return Ed25519PrivateKey.from_private_bytes(raw)

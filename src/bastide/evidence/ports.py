"""What the evidence needs from others; joined in `app.py`."""

from typing import Protocol


class Sealer(Protocol):
    """Page tokens that nobody can read or forge: the keyring."""

    def seal(self, purpose: str, plain: bytes, aad: bytes = b"") -> bytes:
        """Encrypt under a key for this purpose."""
        ...

    def open(self, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes:
        """ValueError if it was not sealed here, for this purpose and `aad`."""
        ...

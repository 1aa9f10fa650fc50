"""The only source of identifiers and secrets, so that tests can fix them."""

import random
import secrets
import uuid
from typing import Protocol

UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789"


class Ids(Protocol):
    """Unpredictable identifiers."""

    def uuid(self) -> str:
        """A random UUID, as AWS's request ids are."""
        ...

    def word(self, length: int, alphabet: str = UPPER) -> str:
        """`length` random characters of `alphabet`: `"AKIA" + ids.word(16)`."""
        ...

    def token(self, size: int) -> bytes:
        """`size` random bytes, fit for a key."""
        ...


class SystemIds:
    """Identifiers from the operating system's random source."""

    def uuid(self) -> str:
        return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))

    def word(self, length: int, alphabet: str = UPPER) -> str:
        return "".join(secrets.choice(alphabet) for _ in range(length))

    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)


class SeededIds:
    """Repeatable identifiers: for tests and simulations, never for a region."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def uuid(self) -> str:
        return str(uuid.UUID(bytes=self.token(16), version=4))

    def word(self, length: int, alphabet: str = UPPER) -> str:
        return "".join(self._random.choice(alphabet) for _ in range(length))

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

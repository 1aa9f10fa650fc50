"""The only source of identifiers and secrets, so that tests can fix them."""

import random
import secrets
import uuid
from typing import Protocol

UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789"
UUIDS_DRAWN = 128


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

    def __init__(self) -> None:
        self._drawn: list[str] = []  # `pop` is atomic: no two threads get the same one

    def uuid(self) -> str:
        """Drawn by the hundred: a system call for each is dear, and a request needs two."""
        try:
            return self._drawn.pop()
        except IndexError:
            digits = secrets.token_bytes(16 * UUIDS_DRAWN).hex()
            drawn = [_uuid4(digits[at : at + 32]) for at in range(0, len(digits), 32)]
            self._drawn.extend(drawn[1:])
            return drawn[0]

    def word(self, length: int, alphabet: str = UPPER) -> str:
        return "".join(secrets.choice(alphabet) for _ in range(length))

    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)


def _uuid4(digits: str) -> str:
    """32 random hexadecimal digits as a version 4 UUID: RFC 9562, 5.4."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


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

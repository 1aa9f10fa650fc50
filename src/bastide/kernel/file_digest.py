"""What a file holds, in one number."""

from hashlib import file_digest
from pathlib import Path


def sha256_of(path: Path) -> str:
    """In hexadecimal digits. OSError where it cannot be read."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()

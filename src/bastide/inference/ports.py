"""What inference needs of its siblings; joined in `app/`."""

from typing import Protocol


class DocumentReader(Protocol):
    """Reads documents in formats that may attack their reader, behind walls."""

    async def text(self, operation: str, kind: str, data: bytes) -> str:
        """What a document says; `kind` as in DocumentFormat. Raises ServiceError."""
        ...

"""What the evidence needs from others; joined in `app.py`."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from bastide.kernel.call import Principal


class Sealer(Protocol):
    """Page tokens that nobody can read or forge: the keyring."""

    def seal(self, purpose: str, plain: bytes, aad: bytes = b"") -> bytes:
        """Encrypt under a key for this purpose."""
        ...

    def open(self, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes:
        """ValueError if it was not sealed here, for this purpose and `aad`."""
        ...


class Objects(Protocol):
    """The store without its policies: whoever uses it asked `ServicePermits` first."""

    def has_bucket(self, who: Principal, bucket: str) -> bool: ...

    def put(
        self,
        who: Principal,
        bucket: str,
        key: str,
        chunks: Iterator[bytes],
        content_type: str = ...,
        metadata: Mapping[str, str] | None = None,
    ) -> object: ...


class ServicePermits(Protocol):
    def permits_service(
        self,
        service: Principal,
        action: str,
        resource: str,
        context: Mapping[str, str],
    ) -> bool:
        """Whether the policy of a bucket of its account lets a service do one thing."""
        ...

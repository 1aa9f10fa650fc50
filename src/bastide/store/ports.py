"""What the store needs from its siblings; joined in `app.py`."""

from collections.abc import Mapping
from typing import Any, Protocol

from bastide.kernel.call import Call, Principal
from bastide.kernel.labels.label import Label


class Kek(Protocol):
    """A key-encrypting key of one (account, label)."""

    @property
    def id(self) -> str: ...


class Keyring(Protocol):
    """The key store. `by_id` raises KeyError for a key that is unknown or destroyed. A `kek` is
    whatever it answered itself."""

    def current(self, account: str, label: str) -> Kek: ...

    def by_id(self, kek_id: str) -> Kek: ...

    def wrap(self, kek: Any, dek: bytes, aad: bytes) -> bytes: ...

    def unwrap(self, kek: Any, wrapped: bytes, aad: bytes) -> bytes: ...

    def seal(self, purpose: str, plain: bytes, aad: bytes = b"") -> bytes: ...

    def open(self, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes:
        """ValueError if it was tampered with."""
        ...


class ObjectKeys(Protocol):
    """The KMS keys that objects are sealed under, beside the key of their agency and label. Each
    raises a ServiceError in S3's words (`KMS.DisabledException`) where a key cannot be used."""

    def arn(self, who: Principal, name: str) -> str:
        """Of a key by its id, an alias or its ARN."""
        ...

    def could_be(self, who: Principal, key_arn: str) -> bool:
        """Whether a key of that ARN could be theirs, be it there or not."""
        ...

    def check(self, who: Principal, action: str, key_arn: str, bucket: str, key: bytes) -> None:
        """Whether who reads or writes that object may use the key for it."""
        ...

    def check_shared(
        self, who: Principal, owner: str, key_arn: str, bucket: str, key: bytes
    ) -> None:
        """Whether who reads that object, which another account shares, may have it opened by the
        key that it is under. If so it is recorded for both."""
        ...

    def check_service(
        self, service: Principal, action: str, key_arn: str, bucket: str, key: bytes
    ) -> None:
        """The same of a service, whose name its principal carries: its key's policy says so."""
        ...

    def seal(self, account: str, key_arn: str, bucket: str, key: bytes, dek: bytes) -> bytes: ...

    def open(self, account: str, bucket: str, key: bytes, sealed: bytes) -> bytes: ...


class Standing(Protocol):
    """Where the caller of one call stands; cheap to ask again."""

    def permits(self, action: str, resource: str) -> bool: ...

    def of_version(self, version: str) -> "Standing":
        """The same, asked about a version."""
        ...


class Access(Protocol):
    """Asked for what one call touches beyond its own resource: a copy's source, each key of a
    DeleteObjects, the tags given with a PutObject."""

    def standing(self, call: Call, params: Mapping[str, Any]) -> Standing: ...


class Writing(Protocol):
    """Both engines, asked about a write when it is known what that touches."""

    def permits(
        self, who: Principal, action: str, resource: str, label: Label, *, is_new: bool
    ) -> bool:
        """`is_new`: nothing that was there becomes another."""
        ...


class PolicyDocuments(Protocol):
    def checked(self, account: str, bucket_arn: str, document: str) -> str:
        """The document as it is kept. Raises ServiceError MalformedPolicy for one that could not
        be enforced."""
        ...

    def shown(self, account: str, document: str) -> str:
        """A kept document as it is shown."""
        ...

    def changed(self, account: str, bucket: str) -> None:
        """The policy of that bucket, or the bucket itself, is another from now on."""
        ...

"""What KMS needs from its siblings; joined in `app/`."""

from collections.abc import Mapping
from typing import Any, Protocol

from bastide.kernel.call import Call


class Kek(Protocol):
    """The key of one agency and label."""

    @property
    def id(self) -> str: ...


class Keyring(Protocol):
    """What wraps a key's material. `by_id` raises KeyError for what was destroyed."""

    def current(self, account: str, label: str) -> Kek: ...

    def by_id(self, kek_id: str) -> Kek: ...

    def wrap(self, kek: Any, dek: bytes, aad: bytes) -> bytes: ...

    def unwrap(self, kek: Any, wrapped: bytes, aad: bytes) -> bytes: ...


class Documents(Protocol):
    """Key policies, judged before one is kept, and shown as they were put."""

    def checked(self, account: str, document: str) -> str: ...

    def shown(self, account: str, document: str) -> str: ...


class Names(Protocol):
    """The users and roles of an account, by unique id."""

    def id_of(self, account: str, name: str) -> str | None: ...

    def arn_of(self, account: str, unique_id: str) -> str: ...


class Access(Protocol):
    """Asked where the gateway cannot know what a call needs."""

    def standing(self, call: Call, params: Mapping[str, Any]) -> "Standing": ...

    def would_permit(self, call: Call, action: str, key_arn: str, document: str) -> bool: ...


class Standing(Protocol):
    def permits(self, action: str, resource: str) -> bool: ...


class Approvals(Protocol):
    """The one place where a second person is asked before a key may go."""

    def check(self, call: Call, action: str, key_arn: str) -> None:
        """Raises ServiceError unless what must be approved was."""
        ...

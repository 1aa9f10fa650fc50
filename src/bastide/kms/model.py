"""Keys, what they are made of, their names, and the grants on them, as frozen data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Params = dict[str, Any]


class State(StrEnum):
    ENABLED = "Enabled"
    DISABLED = "Disabled"
    PENDING_DELETION = "PendingDeletion"


class Usage(StrEnum):
    CRYPT = "ENCRYPT_DECRYPT"
    SIGN = "SIGN_VERIFY"
    MAC = "GENERATE_VERIFY_MAC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """`version` is the newest; older ones still open what they sealed. `policy` is None until the
    agency's own is put."""

    account: str
    id: str
    label: str
    spec: str
    usage: Usage
    policy: str
    created_ms: int
    state: State = State.ENABLED
    description: str = ""
    version: int = 1
    deletion_ms: int | None = None
    window_days: int | None = None
    rotation_days: int | None = None
    rotation_ms: int | None = None  # when the next one is due
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One version of a key: its secret, wrapped, and what is public of it."""

    key_id: str
    number: int
    kek_id: str
    wrapped: bytes
    public: bytes
    created_ms: int
    reason: str = ""  # "AUTOMATIC" or "ON_DEMAND"; "" for the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """`label` is its key's: sessions below it do not see it, and may give the name themselves."""

    name: str
    label: str
    key_id: str
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """`grantee` and `retiring` are unique ids, so that a name that comes back is somebody else."""

    id: str
    account: str
    key_id: str
    grantee: str
    operations: Sequence[str]
    created_ms: int
    name: str = ""
    retiring: str = ""
    subset: Mapping[str, str] = field(default_factory=dict)
    equals: Mapping[str, str] = field(default_factory=dict)

    def lets(self, encryption: Mapping[str, str]) -> bool:
        """Whether an encryption context meets the constraints; case counts."""
        if self.equals and dict(self.equals) != dict(encryption):
            return False
        return self.subset.items() <= dict(encryption).items()

"""Frozen data of identity."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bastide.kernel.call import Duty


class Kind(StrEnum):
    """What policies can be attached to."""

    USER = "user"
    ROLE = "role"
    GROUP = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """A tenant: one account. `label` is of what it keeps without one; "": the region's. Its
    administrator's keys were first handed out at `handed_ms`; 0: never."""

    account_id: str
    name: str
    created_ms: int
    label: str = ""
    handed_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A user, a role or a group. `trust`, `description` and `session_max_s` are a role's.
    `boundary` is the ARN of the policy that bounds what a user or role may ever be allowed. `duty`:
    what two officers made it."""

    account: str
    kind: Kind
    name: str
    path: str
    id: str
    arn: str
    created_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)
    trust: str = ""
    description: str = ""
    session_max_s: int = 3600
    boundary: str = ""
    duty: Duty | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """What a user or role was granted, by its unique id: who gets a freed name later is not it."""

    account: str
    entity_id: str
    label: str
    granted_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A long-term key of a user; the secret stays sealed."""

    id: str
    account: str
    user: str
    active: bool
    sealed: bytes
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKey:
    """A Bedrock API key of a user, known by its digest alone."""

    id: str
    account: str
    user: str
    digest: str
    active: bool
    created_ms: int
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPolicy:
    """A customer's policy, attachable by ARN. `document` is of its default `version`;
    `last` is the highest number that was ever given."""

    account: str
    name: str
    path: str
    id: str
    arn: str
    document: str
    description: str
    created_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    last: int = 1
    changed_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """One of up to five documents of a policy. Numbers are never used again."""

    number: int
    document: str
    created_ms: int

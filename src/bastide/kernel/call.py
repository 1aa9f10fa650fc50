"""One authenticated, validated call on its way to the method that does it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from bastide.kernel.labels.label import Label
from bastide.kernel.receipts import Inference
from bastide.kernel.regions import Region
from bastide.kernel.shares import Sharer, view_of


class PrincipalKind(StrEnum):
    """Who can sign a call."""

    USER = "IAMUser"
    SESSION = "AssumedRole"
    SERVICE = "AWSService"


class Duty(StrEnum):
    """What two officers made a user or a role be, beside whatever policies say."""

    AUDITOR = "auditor"  # reads evidence, and nothing else


EVIDENCE_WRITER = "cloudtrail.amazonaws.com"  # whose objects are evidence, and nobody else's


BEHIND = "bastide:behind"  # a fact of a principal: the side door that its keys are good at


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls. `arn` is the caller's own (`…:assumed-role/R/S` for a session).

    `issuer_arn` is what policies are attached to: the user, or the role behind the session.
    `session_policies` (JSON documents) narrow a session further; None: nothing does. `facts` are
    the condition keys, in lower case, that hold for the whole session: when it began, for whom.
    `clearance` is the most that the caller may see, `session` what it works at now: it reads what
    that dominates, and what it makes is at least that. `duty`: the user's, or the role's.
    """

    account: str
    arn: str
    user_id: str
    kind: PrincipalKind
    issuer_arn: str
    name: str
    access_key_id: str
    clearance: Label
    session: Label
    duty: Duty | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    session_policies: tuple[str, ...] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    transitive: frozenset[str] = frozenset()  # keys of `tags` that go on to the next role

    @property
    def whose(self) -> Sharer:
        """Whose share of what all have in common it takes (`kernel/shares.py`)."""
        return view_of(self.account, self.session.text)


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key that may sign now."""

    secret: str
    principal: Principal


class Body(Protocol):
    """A request body that is still arriving. Reading it checks the length, checksum, chunk
    signatures and payload hash that the client promised: the last read raises ServiceError when
    one does not hold, so nothing may be made visible before `read` has answered `b""`."""

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes (all that is left if negative); `b""` at the verified end."""
        ...

    def readinto(self, view: memoryview) -> int:
        """As `read`, into a buffer of the caller's; 0 at the verified end."""
        ...

    @property
    def declared_size(self) -> int | None:
        """The decoded length that the client announced, or None."""
        ...

    @property
    def promised(self) -> Collection[str]:
        """The checksums that will be verified, by S3's names."""
        ...

    @property
    def checksums(self) -> Mapping[str, str]:
        """After the end: verified checksums, base64, by S3's names: {"CRC32": "…"}."""
        ...


class EmptyBody:
    """The body of a call that has none."""

    declared_size: int | None = 0
    promised: Collection[str] = ()
    checksums: Mapping[str, str] = {}

    def read(self, size: int = -1) -> bytes:
        return b""

    def readinto(self, view: memoryview) -> int:
        return 0


class BytesBody:
    """A body that is already here: for tests and for calls made inside the region."""

    promised: Collection[str] = ()
    checksums: Mapping[str, str] = {}

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)
        self.declared_size: int | None = len(data)

    def read(self, size: int = -1) -> bytes:
        size = len(self._rest) if size < 0 else size
        head, self._rest = self._rest[:size], self._rest[size:]
        return bytes(head)

    def readinto(self, view: memoryview) -> int:
        size = min(len(view), len(self._rest))
        view[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


@dataclass(frozen=True, slots=True)
class Crossed:
    """What a call reads of another account's."""

    owner: str
    arn: str


@dataclass(slots=True)
class Notes:
    """What a handler adds to the answer's headers and to the audit record, the status of an
    answer where it is not the model's, and its label where it is not the session's. `event_id`: of
    the call's audit record, once it is open. `aliases`: the names by which its members named KMS
    keys, which policies ask for when the members are keys' ARNs already."""

    headers: dict[str, str] = field(default_factory=dict)
    audit: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    label: str = ""
    event_id: str = ""
    aliases: dict[str, str] = field(default_factory=dict)
    inference: Inference | None = None
    crossed: Crossed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`operation` is `"sagemaker.CreateTrainingJob"`: route, audit event and metric label alike."""

    operation: str
    region: Region
    principal: Principal
    request_id: str
    time: datetime
    source_ip: str = ""
    user_agent: str = ""
    secure: bool = True
    body: Body = field(default_factory=EmptyBody)
    headers: Mapping[str, str] = field(default_factory=dict)
    auth_type: str = ""  # where the signature was, in the words of s3:authType
    notes: Notes = field(default_factory=Notes)

    @property
    def account(self) -> str:
        return self.principal.account

    @property
    def whose(self) -> Sharer:
        return self.principal.whose

    @property
    def service(self) -> str:
        return self.operation.split(".", 1)[0]

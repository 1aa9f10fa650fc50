"""What runtimes need of the contexts beside and below them; joined in `app/`."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bastide.jobs.model import Bind
from bastide.kernel.call import Call, Principal

Issue = Callable[[], Awaitable[Mapping[str, str]]]


class Roles(Protocol):
    def check_pass(self, call: Call, role_arn: str, service: str, associated_arn: str) -> None:
        """AccessDeniedException unless the caller may pass the role to the service."""
        ...

    def assume_for_service(
        self, account: str, role_arn: str, service: str, marking: str
    ) -> Principal:
        """ValidationException unless the role is there, trusts the service, and is cleared for
        the label at which the service shall work."""
        ...


class Keys(Protocol):
    """Short-lived keys of a role that works at a label, as STS makes them."""

    def issue(
        self, account: str, role_arn: str, service: str, marking: str, name: str
    ) -> Mapping[str, str]:
        """In the words of AWS's container credentials. ValidationException as above."""
        ...


class Permits(Protocol):
    def permits(
        self,
        principal: Principal,
        action: str,
        resource: str,
        context: Mapping[str, str | list[str]],
    ) -> bool: ...


class StoredObject(Protocol):
    @property
    def size(self) -> int: ...
    @property
    def version_id(self) -> str: ...


class Objects(Protocol):
    """The store without its policies: whoever uses it asked `Permits` first."""

    def open(
        self, who: Principal, bucket: str, key: str, version_id: str | None = None
    ) -> tuple[StoredObject, Iterator[bytes]]:
        """The iterator has a `close`."""
        ...


class Interpreter(Protocol):
    """The Python that agents get. `runtime`: in AWS's word for it, `PYTHON_3_11`."""

    @property
    def runtime(self) -> str: ...
    @property
    def python(self) -> str: ...
    @property
    def binds(self) -> tuple[Bind, ...]: ...


class Doors(Protocol):
    """The ways from sandboxes to this region's own gateway, one for each session. Belongs to the
    event loop."""

    def open(self, path: Path, whose: "Whose", own: "Own") -> None:
        """Take what is theirs, and nothing else, at the socket `path`."""
        ...

    def close(self, path: Path) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Who may come in at a door: a role at a label, with the keys that are issued there."""

    door: str
    account: str
    role_arn: str
    label: str


class Own(Protocol):
    """What a door answers by itself: the role's keys, to whoever knows the token."""

    @property
    def token(self) -> str: ...
    @property
    def issue(self) -> Issue: ...


class Sealer(Protocol):
    """Small secrets under the region's key. `open` raises ValueError when one was changed."""

    def seal(self, purpose: str, plain: bytes, aad: bytes = b"") -> bytes: ...

    def open(self, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes: ...

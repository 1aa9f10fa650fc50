"""What functions need of the contexts beside and below them; joined in `app/`."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import ParamSpec, Protocol, TypeVar

from bastide.kernel.call import Call, Principal
from bastide.kernel.shares import Sharer

P = ParamSpec("P")
T = TypeVar("T")


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


class Permits(Protocol):
    def permits(
        self,
        principal: Principal,
        action: str,
        resource: str,
        context: Mapping[str, str | list[str]],
    ) -> bool: ...

    def permits_service_for(
        self,
        worker: Principal,
        action: str,
        resource: str,
        *,
        service: str,
        document: str,
        context: Mapping[str, str],
    ) -> bool:
        """Whether `document`, a resource's policy, lets a service in that works as `worker`."""
        ...


class StoredObject(Protocol):
    @property
    def size(self) -> int: ...


class Objects(Protocol):
    """The store without its policies: whoever uses it asked `Permits` first."""

    def open(
        self, who: Principal, bucket: str, key: str
    ) -> tuple[StoredObject, Iterator[bytes]]: ...


class Sealer(Protocol):
    """Small secrets under the region's key. `open` raises ValueError when one was changed."""

    def seal(self, purpose: str, plain: bytes, aad: bytes = b"") -> bytes: ...

    def open(self, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes: ...


class Logs(Protocol):
    def put(
        self,
        account: str,
        marking: str,
        group: str,
        stream: str,
        events: Sequence[tuple[int, str]],
    ) -> None: ...


class Threads(Protocol):
    """Threads of which each agency at each of its labels has its share."""

    def run(
        self, whose: Sharer, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]: ...

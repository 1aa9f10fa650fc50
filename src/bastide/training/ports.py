"""What training needs of the contexts beside and below it; joined in `app.py`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from bastide.jobs.model import Bind
from bastide.kernel.call import Call, Principal
from bastide.kernel.labels.label import Label


class Roles(Protocol):
    def check_pass(self, call: Call, role_arn: str, service: str, associated_arn: str) -> None:
        """AccessDeniedException unless the caller may pass the role to the service for the
        resource that is being made."""
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


class StoredObject(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def label(self) -> Label: ...


class Objects(Protocol):
    """The store without its policies: whoever uses it asked `Permits` first."""

    def open(
        self, who: Principal, bucket: str, key: str
    ) -> tuple[StoredObject, Iterator[bytes]]: ...

    def put(
        self,
        who: Principal,
        bucket: str,
        key: str,
        chunks: Iterable[bytes],
        content_type: str = "binary/octet-stream",
    ) -> StoredObject: ...

    def listing(self, who: Principal, bucket: str, prefix: str) -> Iterator[StoredObject]: ...


class Runtime(Protocol):
    """An environment as `environments` answers it."""

    @property
    def python(self) -> str | None: ...
    @property
    def binds(self) -> tuple[Bind, ...]: ...
    @property
    def rootfs(self) -> Path | None: ...
    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def entrypoint(self) -> tuple[str, ...]: ...
    @property
    def workdir(self) -> str: ...


class Environments(Protocol):
    def for_image(self, uri: str) -> Runtime:
        """ValidationException naming the command that would add it."""
        ...


class MetricLog(Protocol):
    def put(  # noqa: PLR0913 - the words of PutMetricData itself
        self,
        account: str,
        marking: str,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        value: float,
        at: datetime,
        unit: str = "None",
    ) -> None: ...


class Scanner(Protocol):
    def scan(
        self, account: str, patterns: Sequence[str], lines: Sequence[str]
    ) -> list[tuple[int, int, str]]: ...

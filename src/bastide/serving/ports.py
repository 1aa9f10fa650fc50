"""What serving needs of the contexts beside and below it; joined in `app.py`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

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


class ObjectLabels(Protocol):
    def label(self, who: Principal, arn: str, version: str | None) -> Label | None:
        """The label of an object, as a principal sees it; None where it sees none."""
        ...


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


class Tagging(Protocol):
    """SageMaker's tags are kept in one place, beside the training jobs."""

    def checked(self, tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
        """ValidationException for those that cannot be."""
        ...

    def put(
        self, c: Connection, account: str, arn: str, label: str, tags: Mapping[str, str]
    ) -> None:
        """In the transaction that makes what they are put on."""
        ...

    def drop(self, c: Connection, account: str, arn: str, label: str) -> None: ...


class Sizes(Protocol):
    def __call__(self, instance_type: str) -> tuple[float, int]:
        """Processors and bytes of memory; ValidationException for what is not available."""
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

"""What models need of the contexts beside and above them; joined in `app/`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bastide.kernel.call import Call, Principal
from bastide.kernel.labels.label import Label
from bastide.models.importing.facts import Judged
from bastide.models.model import ModelCard

SERVICE = "bedrock.amazonaws.com"


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


class Reading(Protocol):
    """Objects, as a role reads them: every read is asked of the policies. Raises JobFailed."""

    @property
    def read_at(self) -> set[Label]:
        """The labels of what was read."""
        ...

    def listing(self, bucket: str, prefix: str) -> list[str]: ...

    def chunks(self, bucket: str, key: str) -> Iterator[bytes]: ...


class Judge(Protocol):
    """Reads what an agency brought, behind walls."""

    def judge(self, folder: Path, out: Path, bytes_max: int) -> Judged:
        """What the files of `folder` are; a converted model is `model.gguf` in `out`. Raises
        Unavailable where it cannot be tried."""
        ...


class Running(Protocol):
    """The engines, as they are asked from a thread."""

    def reason_against(self, card: ModelCard, owner: str, label: str) -> str:
        """Load the model and ask it something: why it cannot be served, or "". Raises Unavailable
        where it cannot be tried now."""
        ...

    def unload(self, name: str) -> None:
        """End the engines of the model of that name, if it has some. What they were answering
        breaks off. Raises Unavailable where they may not have ended."""
        ...


class Keys(Protocol):
    """The agency's keys, with which what lies here unsealed goes too."""

    def newest(self, account: str, label: str) -> str:
        """The id of a key; one is made where there is none."""
        ...

    def lives(self, key_id: str) -> bool:
        """False once it was destroyed."""
        ...


class LogObjects(Protocol):
    """The store without its policies: whoever uses it asked `LoggingPermits` first."""

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


class LogLines(Protocol):
    """Makes group and stream as needed, at that marking."""

    def put(
        self,
        account: str,
        marking: str,
        group: str,
        stream: str,
        events: Sequence[tuple[int, str]],
    ) -> None: ...


class LoggingRoles(Protocol):
    def assume_for_service(
        self, account: str, role_arn: str, service: str, marking: str
    ) -> Principal:
        """ValidationException for a role that cannot work there."""
        ...


class LoggingPermits(Protocol):
    def permits(
        self,
        principal: Principal,
        action: str,
        resource: str,
        context: Mapping[str, str | list[str]],
    ) -> bool: ...

    def permits_service(
        self, service: Principal, action: str, resource: str, context: Mapping[str, str]
    ) -> bool:
        """Whether the policy of a bucket of its account lets a service do one thing."""
        ...


@dataclass(frozen=True, slots=True)
class Reservation:
    """So many engines, for the calls of what has that name, of the part of that label."""

    name: str
    units: int
    label: str


class Reservations(Protocol):
    """The engines, as far as they are kept for a name; asked from any thread."""

    def reservable_mib(self, label: str) -> int:
        """What may be kept at a label, by all agencies."""
        ...

    def memory_mib(self, card: ModelCard) -> int:
        """What one engine of a model takes."""
        ...

    def hold(self, wanted: Reservation, card: ModelCard, then: Callable[[bool], None]) -> None:
        """Returns at once; `then` is told, in a thread, whether it is held."""
        ...

    def let_go(self, name: str) -> None:
        """Soon."""
        ...

"""What knowledge bases need of the contexts beside and below them; joined in `app/`."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from bastide.kernel.call import Call, Principal
from bastide.kernel.shares import Sharer
from bastide.knowledge.index.model import Chunk, Hit, Kb, Query

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]  # one row for each text

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


class Embedder(Protocol):
    def check(self, call: Call, model_arn: str, dimensions: int | None) -> None:
        """ValidationException unless that model embeds, in so many dimensions."""
        ...

    def allow(self, who: Principal, model_arn: str) -> None:
        """AccessDeniedException unless policies let it call that model."""
        ...

    def begin(self, who: Principal, model_arn: str) -> None:
        """One request to the model, of whatever is then embedded. ThrottlingException where the
        quota of its agency, at its label, is used up."""
        ...

    def embed(
        self, who: Principal, model_arn: str, dimensions: int | None, texts: Sequence[str]
    ) -> "Vectors":
        """Counted to the quota, whatever is left. ServiceError or Unavailable where it cannot."""
        ...


class Sealer(Protocol):
    def seal(self, purpose: str, plain: bytes, aad: bytes = b"") -> bytes: ...
    def open(self, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes: ...


class Reader(Protocol):
    def read(self, content: bytes, name: str, media_type: str, *, whose: Sharer) -> str:
        """The text of a document of theirs. `Unreadable` with the reason where there is none;
        Unavailable where others' are before it for too long."""
        ...


class Threads(Protocol):
    """Where work is done that would hold the loop: each agency at each of its labels has its
    share of it."""

    async def run(
        self, whose: Sharer, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Raises Unavailable where its turn does not come."""
        ...


class Conversations(Protocol):
    """Converse, in AWS's own shapes. The stream of events can be closed before its end."""

    async def converse(self, call: Call, req: dict[str, Any]) -> dict[str, Any]: ...

    async def converse_stream(self, call: Call, req: dict[str, Any]) -> dict[str, Any]: ...


class Index(Protocol):
    def put(self, kb: Kb, chunks: Sequence[Chunk]) -> None: ...

    def remove(self, kb: Kb, document_ids: Sequence[str]) -> None: ...

    def drop(self, kb: Kb) -> None: ...

    def search(self, query: Query) -> Sequence[Hit]: ...

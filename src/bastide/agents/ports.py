"""What agents need of the contexts beside and below them; joined in `app/`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

from bastide.functions.model import Interpreted
from bastide.kernel.call import Call, Principal
from bastide.kernel.regions import Region
from bastide.kernel.shares import Sharer

Params = dict[str, Any]
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


class ModelCard(Protocol):
    @property
    def model_id(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def remote(self) -> bool: ...


class Models(Protocol):
    def called(self, call: Call, identifier: str) -> ModelCard:
        """ValidationException for what is none."""
        ...

    def arns(self, region: Region, who: Principal, identifier: str) -> tuple[str, tuple[str, ...]]:
        """The inference profile, "" if none, and the models: all of what policies must allow."""
        ...


class Conversations(Protocol):
    """As bedrock-runtime's, without its door: who calls it asked `Permits` first."""

    async def converse(self, call: Call, req: Params) -> Params: ...

    async def converse_stream(self, call: Call, req: Params) -> Params: ...


class Retriever(Protocol):
    def retrieve(self, call: Call, req: Params) -> Params:
        """As bedrock-agent-runtime's Retrieve, without its door; the label of what it found is in
        the call's notes."""
        ...


class Executors(Protocol):
    """The agency's functions, which execute those of action groups. `agent_id`: "" for an inline
    agent, whose caller must be allowed to invoke them itself."""

    def check(self, worker: Call, agent_id: str, function_arn: str) -> None:
        """ServiceError unless the function is there for the worker, and lets this agent in."""
        ...

    async def invoke(
        self, worker: Call, agent_id: str, function_arn: str, event: bytes
    ) -> tuple[bytes, str]:
        """Its answer, and why there is none. ServiceError as `check` raises it."""
        ...


class Requests(Protocol):
    """Requests that an agency's code makes as documents."""

    def read(self, operation: str, document: Params) -> Params:
        """As at the operation's own door: its shapes, its constraints, what is honoured of it.
        Raises ServiceError."""
        ...


class GuardrailApplier(Protocol):
    """As bedrock-runtime's, without its door: who calls it asked `Permits` first."""

    def apply_guardrail(self, call: Call, req: Params) -> Params: ...


class Interpreter(Protocol):
    async def run(self, worker: Call, code: str, files: Mapping[str, bytes]) -> Interpreted:
        """Code, run with these files in a place of its own."""
        ...


class DocumentReader(Protocol):
    async def text(self, call: Call, kind: str, data: bytes) -> str:
        """What a document says; ServiceError for what cannot be read."""
        ...


class Threads(Protocol):
    """Where work is done that would hold the loop: each agency at each of its labels has its
    share of it."""

    async def run(
        self, whose: Sharer, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Raises Unavailable where its turn does not come."""
        ...


class Lines(Protocol):
    """The agencies' logs."""

    def put(
        self,
        account: str,
        marking: str,
        group: str,
        stream: str,
        events: Sequence[tuple[int, str]],
    ) -> None:
        """Durable when it returns; group and stream are made as needed."""
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

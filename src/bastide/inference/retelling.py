"""What OpenAI's and Anthropic's doors do alike: they find the model, hold a request to what
Converse honours, and tell an answer's events in their own words."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import Any

from bastide.inference.answer import Answer
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import honours_of
from bastide.models.catalogue import INVALID_MODEL, Models
from bastide.models.model import ModelCard

Params = dict[str, Any]
WHO = "it tells one person of the caller's from another; the region knows who calls it"


def check_honoured(method: Callable[..., object], call: Call, request: Params) -> None:
    """What `method` does not honour is refused here: its own callers are held to it by the wire."""
    if stranger := honours_of(method).stranger(request):
        raise unsupported(call.operation, stranger)


def find_model(models: Models, call: Call, name: str) -> ModelCard:
    """Raises ServiceError in OpenAI's way for a model that is not there for the session."""
    try:
        return models.called(call, name)
    except ServiceError as error:
        if error.message != INVALID_MODEL:
            raise
        message = f"The model '{name}' does not exist or you do not have access to it."
        raise ServiceError("ResourceNotFoundException", message) from error


class Retold:
    """An answer's events in other words. When it is closed, so is the answer: also when nobody
    ever asked for the first event."""

    def __init__(self, answer: Answer, tell: Callable[[Params], Iterable[Any]]) -> None:
        self._answer = answer
        self._events = _told(answer, tell)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await self._events.__anext__()

    async def aclose(self) -> None:
        await self._answer.aclose()
        await self._events.aclose()


async def _told(
    answer: Answer, tell: Callable[[Params], Iterable[Any]]
) -> AsyncGenerator[Any, None]:
    async for event in answer:
        for told in tell(event):
            yield told

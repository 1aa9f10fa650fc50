"""bedrock-mantle: CreateChatCompletion, for clients of OpenAI's chat completions."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bastide.inference.answer import Answer
from bastide.inference.converse import Conversations
from bastide.inference.dialects import openai_chat as dialect
from bastide.inference.dialects.openai_chat import Named
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import honours_of, operation
from bastide.models.catalogue import INVALID_MODEL, Models
from bastide.models.model import ModelCard

Params = dict[str, Any]
CHAT = (
    "model", "messages", "frequency_penalty", "max_completion_tokens", "max_tokens", "modalities",
    "n", "parallel_tool_calls", "presence_penalty", "response_format", "seed", "service_tier",
    "stop", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_p",
)  # fmt: skip
WHO = "it tells one person of the caller's from another; the region knows who calls it"
CHAT_ACCEPTED = {
    "user": WHO,
    "safety_identifier": WHO,
    "metadata": "it is kept with stored completions, and none are stored",
    "prompt_cache_key": "what is kept of a prompt is kept by agency and label",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletions:
    talk: Conversations
    models: Models

    @operation(*CHAT, accepted=CHAT_ACCEPTED)
    async def create_chat_completion(self, call: Call, req: Params) -> Params:
        find_model(self.models, call, req["model"])
        request = dialect.request_of(call.operation, req)
        check_honoured(self.talk.converse, call, request)
        named = Named(
            id=f"chatcmpl-{call.request_id.replace('-', '')}",
            created=int(call.time.timestamp()),
            model=req["model"],
        )
        if req.get("stream"):
            answer = (await self.talk.converse_stream(call, request))["stream"]
            chunks = dialect.Chunks(named, dialect.wants_usage(call.operation, req))
            return {"events": Retold(answer, chunks.of)}
        return {"body": dialect.completion(named, await self.talk.converse(call, request))}


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

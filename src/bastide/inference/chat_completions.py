"""bedrock-mantle: CreateChatCompletion, for clients of OpenAI's chat completions."""

from dataclasses import dataclass
from typing import Any

from bastide.inference.converse import Conversations
from bastide.inference.dialects import openai_chat as dialect
from bastide.inference.dialects.openai_chat import Named
from bastide.inference.retelling import WHO, Retold, check_honoured, find_model
from bastide.kernel.call import Call
from bastide.kernel.operation import operation
from bastide.models.catalogue import Models

Params = dict[str, Any]
CHAT = (
    "model", "messages", "frequency_penalty", "max_completion_tokens", "max_tokens", "modalities",
    "n", "parallel_tool_calls", "presence_penalty", "response_format", "seed", "service_tier",
    "stop", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_p",
)  # fmt: skip
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

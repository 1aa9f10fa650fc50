"""bedrock-mantle: CreateResponse, for clients of OpenAI's responses."""

from dataclasses import dataclass
from typing import Any

from bastide.inference.converse import Conversations
from bastide.inference.dialects import openai_outputs, openai_responses
from bastide.inference.dialects.openai_chat import Named
from bastide.inference.retelling import WHO, Retold, check_honoured, find_model
from bastide.kernel.call import Call
from bastide.kernel.operation import operation
from bastide.models.catalogue import Models

Params = dict[str, Any]
RESPONSE = (
    "model", "input", "instructions", "max_output_tokens", "metadata", "parallel_tool_calls",
    "service_tier", "stream", "stream_options", "temperature", "text", "tool_choice", "tools",
    "top_p", "truncation",
)  # fmt: skip
RESPONSE_ACCEPTED = {
    "user": WHO,
    "safety_identifier": WHO,
    "prompt_cache_key": "what is kept of a prompt is kept by agency and label",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Responses:
    """None is stored: the answer says `store: false`, and a client sends its turns again."""

    talk: Conversations
    models: Models

    @operation(*RESPONSE, accepted=RESPONSE_ACCEPTED)
    async def create_response(self, call: Call, req: Params) -> Params:
        find_model(self.models, call, req["model"])
        request = openai_responses.request_of(call.operation, req)
        check_honoured(self.talk.converse, call, request)
        named = Named(
            id=f"resp_{call.request_id.replace('-', '')}",
            created=int(call.time.timestamp()),
            model=req["model"],
        )
        if req.get("stream"):
            answer = (await self.talk.converse_stream(call, request))["stream"]
            return {"events": Retold(answer, openai_outputs.Events(named, req).of)}
        answer = await self.talk.converse(call, request)
        return {"body": openai_outputs.response(named, req, answer)}

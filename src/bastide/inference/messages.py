"""bedrock-mantle: CreateMessage and CountMessageTokens, for clients of Anthropic's Messages."""

from dataclasses import dataclass
from typing import Any

from bastide.inference.converse import Conversations
from bastide.inference.dialects import anthropic_messages as dialect
from bastide.inference.dialects.dialect import About
from bastide.inference.invoke_model import count_first
from bastide.inference.retelling import WHO, Retold, check_honoured, find_model
from bastide.kernel.call import Call
from bastide.kernel.operation import operation
from bastide.models.catalogue import Models

Params = dict[str, Any]
PROMPT = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")
MESSAGE = (
    *PROMPT, "max_tokens", "stop_sequences", "stream", "temperature", "top_k", "top_p",
)  # fmt: skip
MESSAGE_ACCEPTED = {"metadata": WHO, "service_tier": "there is one"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    talk: Conversations
    models: Models

    @operation(*MESSAGE, accepted=MESSAGE_ACCEPTED)
    async def create_message(self, call: Call, req: Params) -> Params:
        card = find_model(self.models, call, req["model"])
        exchange = dialect.read_direct(req, self._about(call, req))
        request = {**exchange.request, "modelId": req["model"]}
        check_honoured(self.talk.converse, call, request)
        if req.get("stream"):
            await count_first(self.talk, card, call, (exchange, request))
            answer = (await self.talk.converse_stream(call, request))["stream"]
            return {"events": Retold(answer, exchange.chunks)}
        return {"body": exchange.answer(await self.talk.converse(call, request))}

    @operation(*PROMPT)
    async def count_message_tokens(self, call: Call, req: Params) -> Params:
        find_model(self.models, call, req["model"])
        counted = dialect.counted(req, self._about(call, req))
        request = {"modelId": req["model"], "input": {"converse": counted}}
        check_honoured(self.talk.count_tokens, call, request)
        found = await self.talk.count_tokens(call, request)
        return {"body": {"input_tokens": found["inputTokens"]}}

    def _about(self, call: Call, req: Params) -> About:
        return About(
            operation=call.operation,
            named=self.models.inside(call, req["model"]),
            request_id=call.request_id,
            at_s=int(call.time.timestamp()),
        )

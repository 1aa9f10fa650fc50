"""The bodies of Amazon Titan Text.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bastide.inference.dialects import templates
from bastide.inference.dialects.dialect import About, CountsLast, Params
from bastide.inference.dialects.json_body import shaped

Share = Annotated[float, Meta(ge=0, le=1)]
_REASONS = {
    "end_turn": "FINISH",
    "max_tokens": "LENGTH",
    "model_context_window_exceeded": "LENGTH",
    "stop_sequence": "STOP_CRITERIA_MET",
    "content_filtered": "CONTENT_FILTERED",
    "guardrail_intervened": "CONTENT_FILTERED",
}


class _Config(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """With the defaults that are documented."""

    temperature: Share = 0.7
    top_p: Share = 0.9
    max_token_count: Annotated[int, Meta(ge=1, le=8192)] = 512
    stop_sequences: list[Annotated[str, Meta(min_length=1)]] = []


class _Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    input_text: Annotated[str, Meta(min_length=1)]
    text_generation_config: _Config = msgspec.field(default_factory=_Config)


def read(document: Any, about: About) -> "TitanExchange":
    """Raises ValidationException."""
    body = shaped(document, _Body)
    given = body.text_generation_config
    config: Params = {
        "maxTokens": given.max_token_count,
        "temperature": given.temperature,
        "topP": given.top_p,
    }
    if given.stop_sequences:
        config["stopSequences"] = given.stop_sequences
    return TitanExchange({**templates.of_titan(body.input_text), "inferenceConfig": config})


class TitanExchange(CountsLast):
    """How many tokens the prompt had is known at the end, so a stream says it in the last chunk."""

    def __init__(self, request: Params) -> None:
        self.request = request
        self._reason = "FINISH"

    def answer(self, said: Params) -> Params:
        usage = said["usage"]
        result = {
            "tokenCount": usage["outputTokens"],
            "outputText": templates.text_of(said),
            "completionReason": _REASONS.get(said["stopReason"], "FINISH"),
        }
        return {"inputTextTokenCount": usage["inputTokens"], "results": [result]}

    def chunks(self, event: Params) -> list[Params]:
        ((name, value),) = event.items()
        if name == "contentBlockDelta" and "text" in value["delta"]:
            return [_chunk(value["delta"]["text"], {}, None)]
        if name == "messageStop":
            self._reason = _REASONS.get(value["stopReason"], "FINISH")
        return [_chunk("", value["usage"], self._reason)] if name == "metadata" else []


def _chunk(text: str, usage: Params, reason: str | None) -> Params:
    return {
        "outputText": text,
        "index": 0,
        "totalOutputTextTokenCount": usage.get("outputTokens"),
        "completionReason": reason,
        "inputTextTokenCount": usage.get("inputTokens"),
    }

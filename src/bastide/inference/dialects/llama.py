"""The bodies of Meta's Llama.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bastide.inference.dialects import templates
from bastide.inference.dialects.dialect import About, CountsLast, Params, cannot_take
from bastide.inference.dialects.json_body import shaped

Share = Annotated[float, Meta(ge=0, le=1)]


class _Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """With the defaults that are documented."""

    prompt: Annotated[str, Meta(min_length=1)]
    temperature: Share = 0.5
    top_p: Share = 0.9
    max_gen_len: Annotated[int, Meta(ge=1, le=8192)] = 512
    images: list[str] | None = None


def read(document: Any, about: About) -> "LlamaExchange":
    """Raises ValidationException."""
    body = shaped(document, _Body)
    if body.images:
        raise cannot_take("images")
    config = {
        "maxTokens": body.max_gen_len,
        "temperature": body.temperature,
        "topP": body.top_p,
    }
    return LlamaExchange({**templates.of_llama(body.prompt), "inferenceConfig": config})


class LlamaExchange(CountsLast):
    """How many tokens the prompt had is known at the end, so a stream says it in the last chunk."""

    def __init__(self, request: Params) -> None:
        self.request = request
        self._stop = "stop"

    def answer(self, said: Params) -> Params:
        return _generation(templates.text_of(said), said["usage"], _stop(said["stopReason"]))

    def chunks(self, event: Params) -> list[Params]:
        ((name, value),) = event.items()
        if name == "contentBlockDelta" and "text" in value["delta"]:
            return [_generation(value["delta"]["text"], {}, None)]
        if name == "messageStop":
            self._stop = _stop(value["stopReason"])
        if name == "metadata":
            return [_generation("", value["usage"], self._stop)]
        return []


def _generation(text: str, usage: Params, stop: str | None) -> Params:
    return {
        "generation": text,
        "prompt_token_count": usage.get("inputTokens"),
        "generation_token_count": usage.get("outputTokens"),
        "stop_reason": stop,
    }


def _stop(reason: str) -> str:
    return "length" if reason in ("max_tokens", "model_context_window_exceeded") else "stop"

"""The bodies of Mistral's text completion.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-text-completion.html
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bastide.inference.dialects import templates
from bastide.inference.dialects.dialect import About, CountsLast, Params
from bastide.inference.dialects.json_body import shaped

Share = Annotated[float, Meta(ge=0, le=1)]


class _Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """With the defaults that are documented for all of these models."""

    prompt: Annotated[str, Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1, le=8192)] = 512
    stop: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=10)] = []
    temperature: Share | UnsetType = UNSET
    top_p: Share | UnsetType = UNSET
    top_k: Annotated[int, Meta(ge=0, le=1_000_000)] | UnsetType = UNSET


def read(document: Any, about: About) -> "MistralText":
    """Raises ValidationException."""
    body = shaped(document, _Body)
    config: Params = {"maxTokens": body.max_tokens}
    for theirs, ours in (("temperature", "temperature"), ("top_p", "topP")):
        if (value := getattr(body, theirs)) is not UNSET:
            config[ours] = value
    if body.stop:
        config["stopSequences"] = body.stop
    found = {**templates.of_instructions(body.prompt), "inferenceConfig": config}
    if body.top_k is not UNSET:
        found["additionalModelRequestFields"] = {"top_k": body.top_k}
    return MistralText(found)


class MistralText(CountsLast):
    def __init__(self, request: Params) -> None:
        self.request = request
        self._stop = "stop"

    def answer(self, said: Params) -> Params:
        return _outputs(templates.text_of(said), _stop(said["stopReason"]))

    def chunks(self, event: Params) -> list[Params]:
        ((name, value),) = event.items()
        if name == "contentBlockDelta" and "text" in value["delta"]:
            return [_outputs(value["delta"]["text"], None)]
        if name == "messageStop":
            self._stop = _stop(value["stopReason"])
        return [_outputs("", self._stop)] if name == "metadata" else []


def _outputs(text: str, stop: str | None) -> Params:
    return {"outputs": [{"text": text, "stop_reason": stop}]}


def _stop(reason: str) -> str:
    return "length" if reason in ("max_tokens", "model_context_window_exceeded") else "stop"

"""InvokeModel's bodies that are chat completions: OpenAI's, as AWS takes them for gpt-oss and Qwen,
and Mistral's own of its large models.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html
and https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-chat-completion.html
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bastide.inference.dialects import openai_chat
from bastide.inference.dialects.dialect import About, CountsLast, Params
from bastide.inference.dialects.json_body import shaped

Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Whole = Annotated[int, Meta(ge=1)]
Messages = Annotated[list[dict[str, Any]], Meta(min_length=1)]


class _Mistral(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    messages: Messages
    tools: list[dict[str, Any]] | UnsetType = UNSET
    tool_choice: Literal["auto", "any", "none"] | UnsetType = UNSET
    max_tokens: Whole | UnsetType = UNSET
    top_p: Share | UnsetType = UNSET
    temperature: Share | UnsetType = UNSET


class _OpenAi(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The operation says whether it streams, and the address which model it is: what the body says
    of both changes nothing."""

    messages: Messages
    model: str | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    n: Literal[1] | UnsetType = UNSET
    tools: list[dict[str, Any]] | UnsetType = UNSET
    tool_choice: str | dict[str, Any] | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    response_format: dict[str, Any] | UnsetType = UNSET
    max_tokens: Whole | UnsetType = UNSET
    max_completion_tokens: Whole | UnsetType = UNSET
    top_p: Share | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    stop: str | list[str] | UnsetType = UNSET
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] | UnsetType = UNSET
    presence_penalty: Penalty | UnsetType = UNSET
    frequency_penalty: Penalty | UnsetType = UNSET


def read_openai(document: Mapping[str, Any], about: About) -> "OpenAiChat":
    """Raises ValidationException. Null is absent, as OpenAI's clients write it."""
    given = {name: value for name, value in document.items() if value is not None}
    body: Params = msgspec.to_builtins(shaped(given, _OpenAi))
    return OpenAiChat(body, about)


def read_mistral(document: Any, about: About) -> "MistralChat":
    body: Params = msgspec.to_builtins(shaped(document, _Mistral))
    if body.get("tool_choice") == "any":
        body["tool_choice"] = "required"
    return MistralChat(body, about)


class OpenAiChat(CountsLast):
    """The last chunk says how the answer ended and what it took: every one has a choice, as those
    that LangChain reads must."""

    def __init__(self, body: Params, about: About) -> None:
        asked = {name: value for name, value in body.items() if name not in ("stream", "n")}
        request = openai_chat.request_of(about.operation, {**asked, "model": about.named})
        self.request = {name: value for name, value in request.items() if name != "modelId"}
        self._named = openai_chat.Named(
            id=f"chatcmpl-{about.request_id.replace('-', '')}",
            created=about.at_s,
            model=about.named,
        )
        self._chunks = openai_chat.Chunks(self._named, with_usage=False)
        self._last: Params = {}

    def answer(self, said: Params) -> Params:
        return openai_chat.completion(self._named, said)

    def chunks(self, event: Params) -> list[Params]:
        if "metadata" in event:
            return [self._last | {"usage": openai_chat.usage_of(event["metadata"]["usage"])}]
        found = list(self._chunks.of(event))
        if "messageStop" in event:
            (self._last,) = found
            return []
        return found


class MistralChat(OpenAiChat):
    """What OpenAI calls a finish reason and a delta are a stop reason and a message here."""

    def answer(self, said: Params) -> Params:
        return _in_mistrals(super().answer(said))

    def chunks(self, event: Params) -> list[Params]:
        return [_in_mistrals(chunk) for chunk in super().chunks(event)]


def _in_mistrals(told: Params) -> Params:
    choices = []
    for choice in told["choices"]:
        message = dict(choice.get("message") or choice["delta"])
        message.pop("refusal", None)
        stop = choice["finish_reason"]
        choices.append({"index": choice["index"], "message": message, "stop_reason": stop})
    return {**told, "choices": choices}

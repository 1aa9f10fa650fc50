"""The bodies of Amazon Nova, which are Converse's own shapes but for a few names.

Source: https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bastide.inference.dialects.dialect import About, CountsLast, Params, cannot_take
from bastide.inference.dialects.json_body import malformed, shaped

MEDIA = ("image", "video", "audio", "document")
_OPTIONS = ("maxTokens", "temperature", "topP", "stopSequences")
_OLD = {"max_new_tokens": "maxTokens", "top_p": "topP"}
Share = Annotated[float, Meta(ge=0, le=1)]
Whole = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class _Part(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Only what is documented may be in it."""


class _CachePoint(_Part):
    type: Literal["default"]


class _ToolUse(_Part):
    tool_use_id: Name
    name: Name
    input: dict[str, Any]


class _ToolResult(_Part):
    tool_use_id: Name
    content: list[dict[str, Any]]
    status: Literal["success", "error"] | UnsetType = UNSET


class _Block(_Part):
    """One of these."""

    text: str | UnsetType = UNSET
    image: dict[str, Any] | UnsetType = UNSET
    video: dict[str, Any] | UnsetType = UNSET
    audio: dict[str, Any] | UnsetType = UNSET
    document: dict[str, Any] | UnsetType = UNSET
    tool_use: _ToolUse | UnsetType = UNSET
    tool_result: _ToolResult | UnsetType = UNSET
    cache_point: _CachePoint | UnsetType = UNSET


class _Turn(_Part):
    role: Literal["user", "assistant"]
    content: Annotated[list[_Block], Meta(min_length=1)]


class _System(_Part):
    text: str | UnsetType = UNSET
    cache_point: _CachePoint | UnsetType = UNSET


class _Schema(_Part):
    json: dict[str, Any]


class _ToolSpec(_Part):
    name: Name
    input_schema: _Schema
    description: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    strict: bool | UnsetType = UNSET


class _Tool(_Part):
    tool_spec: _ToolSpec | UnsetType = UNSET
    cache_point: _CachePoint | UnsetType = UNSET


class _Nothing(_Part):
    pass


class _Named(_Part):
    name: Name


class _Choice(_Part):
    auto: _Nothing | UnsetType = UNSET
    any: _Nothing | UnsetType = UNSET
    tool: _Named | UnsetType = UNSET


class _Tools(_Part):
    tools: Annotated[list[_Tool], Meta(min_length=1)]
    tool_choice: _Choice | UnsetType = UNSET


class _Inference(_Part):
    """Under the names of the first documents, and of the later ones."""

    max_tokens: Whole | UnsetType = UNSET
    max_new_tokens: Whole | UnsetType = msgspec.field(default=UNSET, name="max_new_tokens")
    temperature: Share | UnsetType = UNSET
    top_p: Share | UnsetType = UNSET
    top_p_old: Share | UnsetType = msgspec.field(default=UNSET, name="top_p")
    top_k: Annotated[int, Meta(ge=0, le=128)] | UnsetType = UNSET
    top_k_old: Annotated[int, Meta(ge=0, le=128)] | UnsetType = msgspec.field(
        default=UNSET, name="top_k"
    )
    stop_sequences: list[Annotated[str, Meta(min_length=1)]] | UnsetType = UNSET


class _Body(_Part):
    messages: Annotated[list[_Turn], Meta(min_length=1)]
    schema_version: Literal["messages-v1"] | UnsetType = UNSET
    system: list[_System] | UnsetType = UNSET
    inference_config: _Inference | UnsetType = UNSET
    tool_config: _Tools | UnsetType = UNSET


def read(document: Any, about: About) -> "NovaExchange":
    """Raises ValidationException."""
    body = shaped(document, _Body)
    for number, turn in enumerate(body.messages):
        for place, block in enumerate(turn.content):
            _one_of(block, f"#/messages/{number}/content/{place}")
    for number, part in enumerate(body.system or ()):
        _one_of(part, f"#/system/{number}")
    tools = body.tool_config
    if tools:
        for number, tool in enumerate(tools.tools):
            _one_of(tool, f"#/toolConfig/tools/{number}")
        if tools.tool_choice:
            _one_of(tools.tool_choice, "#/toolConfig/toolChoice")
    return NovaExchange(_request(body))


def _one_of(part: _Part, where: str) -> None:
    given = [name for name in part.__struct_fields__ if getattr(part, name) is not UNSET]
    if len(given) != 1:
        raise malformed(f"{where}: expected exactly one member, found: {len(given)}")
    if given[0] in MEDIA:
        raise cannot_take(given[0])


def _request(body: _Body) -> Params:
    whole: Params = msgspec.to_builtins(body)
    found = {name: whole[name] for name in ("messages", "system", "toolConfig") if whole.get(name)}
    config = whole.get("inferenceConfig") or {}
    top_k = config.get("topK", config.get("top_k"))
    if top_k is not None:
        found["additionalModelRequestFields"] = {"top_k": top_k}
    names = {_OLD.get(name, name): value for name, value in config.items()}
    if options := {name: names[name] for name in _OPTIONS if name in names}:
        found["inferenceConfig"] = options
    return found


class NovaExchange(CountsLast):
    def __init__(self, request: Params) -> None:
        self.request = request

    def answer(self, said: Params) -> Params:
        return {
            "output": said["output"],
            "stopReason": said["stopReason"],
            "usage": _usage(said["usage"]),
        }

    def chunks(self, event: Params) -> list[Params]:
        ((name, value),) = event.items()
        if name == "messageStop":
            return [{name: {"stopReason": value["stopReason"]}}]
        if name == "metadata":
            return [{name: {"usage": _usage(value["usage"]), "metrics": {}, "trace": {}}}]
        return [event]


def _usage(usage: Params) -> Params:
    """The cache's counts under Nova's names."""
    names = {
        "cacheReadInputTokens": "cacheReadInputTokenCount",
        "cacheWriteInputTokens": "cacheWriteInputTokenCount",
    }
    counts = ("inputTokens", "outputTokens", "totalTokens")
    return {
        **{name: usage[name] for name in counts},
        **{theirs: usage.get(ours, 0) for ours, theirs in names.items()},
    }

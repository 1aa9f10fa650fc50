"""Anthropic's Messages: InvokeModel's body of Claude, and that of `/anthropic/v1/messages`.

`read` is for InvokeModel, where the version is in the body, model and stream in the address;
`read_direct` is for Anthropic's own endpoint, `counted` for its count_tokens.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from bastide.inference.dialects import anthropic_body as body
from bastide.inference.dialects.dialect import About, Params, cannot_take
from bastide.inference.dialects.json_body import shaped
from bastide.kernel.errors import unsupported

STOP_SEQUENCE = "/stop_sequence"
_STOPS = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "model_context_window_exceeded": "model_context_window_exceeded",
    "content_filtered": "refusal",
}
_FORMATS = {"application/pdf": "pdf", "text/plain": "txt"}


def read(document: Any, about: About) -> "Messages":
    """Raises ValidationException, in Anthropic's words."""
    asked = shaped(document, body.Asked, body.by_anthropic)
    for name in ("model", "stream"):
        if name in document:
            raise body.said(name, "Extra inputs are not permitted")
    if asked.anthropic_version is UNSET:
        raise body.said("anthropic_version", "Field required")
    if not body.VERSION.fullmatch(asked.anthropic_version):
        raise body.said("anthropic_version", "Input should be 'bedrock-2023-05-31'")
    return Messages(asked, about)


def read_direct(document: Any, about: About) -> "Messages":
    asked = shaped(document, body.Asked, body.by_anthropic)
    if asked.model is UNSET:
        raise body.said("model", "Field required")
    return Messages(asked, about)


def counted(document: Any, about: About) -> Params:
    """What Converse's CountTokens takes, of a body of `/anthropic/v1/messages/count_tokens`."""
    asked = shaped(document, body.Counted, body.by_anthropic)
    found = _prompt(asked, about)
    return {name: found[name] for name in ("messages", "system", "toolConfig") if name in found}


class Messages:
    """One body, and how its answer is said."""

    counts_first = True

    def __init__(self, asked: body.Asked, about: About) -> None:
        self.prompt_tokens = 0
        self._about = about
        self._open: int | None = None  # the content block that the stream is in
        self._stop: Params = {}
        self.request = _request(asked, about)

    def answer(self, said: Params) -> Params:
        blocks = [_shown(block) for block in said["output"]["message"]["content"]]
        return {**self._message(blocks), **_stopped(said), "usage": _usage(said["usage"])}

    def chunks(self, event: Params) -> list[Params]:
        ((name, value),) = event.items()
        match name:
            case "messageStart":
                usage = {"input_tokens": self.prompt_tokens, "output_tokens": 0}
                message = {**self._message([]), "stop_reason": None, "stop_sequence": None}
                return [{"type": "message_start", "message": {**message, "usage": usage}}]
            case "contentBlockStart":
                return self._begin(value["contentBlockIndex"], _begun(value["start"]))
            case "contentBlockDelta":
                return self._delta(value["contentBlockIndex"], value["delta"])
            case "contentBlockStop":
                return self._end()
            case "messageStop":
                self._stop = _stopped(value)
                return []
            case "metadata":
                usage = _usage(value["usage"])
                delta = {"type": "message_delta", "delta": self._stop, "usage": usage}
                return [*self._end(), delta, {"type": "message_stop"}]
        raise AssertionError(f"{name} is no event of a conversation")

    def _message(self, blocks: list[Params]) -> Params:
        letters = self._about.request_id.replace("-", "")[:24]
        return {
            "id": f"msg_bdrk_{letters}",
            "type": "message",
            "role": "assistant",
            "model": _model(self._about.named),
            "content": blocks,
        }

    def _begin(self, index: int, block: Params) -> list[Params]:
        self._open = index
        return [{"type": "content_block_start", "index": index, "content_block": block}]

    def _delta(self, index: int, delta: Params) -> list[Params]:
        """Converse says nothing where a block of text begins."""
        kind, found = _delta_of(delta)
        start = [] if self._open == index else self._begin(index, kind)
        return [*start, {"type": "content_block_delta", "index": index, "delta": found}]

    def _end(self) -> list[Params]:
        if self._open is None:
            return []
        index, self._open = self._open, None
        return [{"type": "content_block_stop", "index": index}]


def _request(asked: body.Asked, about: About) -> Params:
    if asked.thinking is not UNSET and asked.thinking.type != "disabled":
        raise cannot_take("thinking")
    for name in ("container", "diagnostics", "inference_geo"):
        if getattr(asked, name) is not None:
            raise unsupported(about.operation, name)
    config: Params = {"maxTokens": asked.max_tokens}
    for theirs, ours in (("temperature", "temperature"), ("top_p", "topP")):
        if (value := getattr(asked, theirs)) is not UNSET:
            config[ours] = value
    found = _prompt(asked, about)
    if asked.stop_sequences:
        if any(not stop or stop.isspace() for stop in asked.stop_sequences):
            raise body.said("stop_sequences", "each stop sequence must contain non-whitespace")
        config["stopSequences"] = asked.stop_sequences
        found["additionalModelResponseFieldPaths"] = [STOP_SEQUENCE]
    if extra := _extra(asked, found):
        found["additionalModelRequestFields"] = extra
    return {**found, "inferenceConfig": config, **_structured(asked)}


def _extra(asked: body.Asked, found: Params) -> Params:
    extra: Params = {} if asked.top_k is UNSET else {"top_k": asked.top_k}
    choice = asked.tool_choice
    if "toolConfig" in found and choice is not UNSET and choice.disable_parallel_tool_use:
        extra["tool_choice"] = {"disable_parallel_tool_use": True}
    return extra


def _structured(asked: body.Counted) -> Params:
    config = asked.output_config
    if config is UNSET:
        return {}
    found: Params = {"effort": config.effort} if config.effort else {}
    if config.format:
        schema = {"name": "answer", "schema": json.dumps(config.format.schema)}
        found["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    return {"outputConfig": found} if found else {}


def _prompt(asked: body.Counted, about: About) -> Params:
    for name in ("context_management", "mcp_servers", "cache_control"):
        if getattr(asked, name):
            raise unsupported(about.operation, name)
    found: Params = {"messages": _turns(asked.messages)}
    if system := _system(asked.system):
        found["system"] = system
    if tools := _tools(asked):
        found["toolConfig"] = tools
    return found


def _turns(turns: list[body.Turn]) -> list[Params]:
    """Turns of one role after another are one turn, as Anthropic takes them."""
    if not turns:
        raise body.said("messages", "at least one message is required")
    found: list[Params] = []
    for number, turn in enumerate(turns):
        content = _content(turn, f"messages.{number}")
        if found and found[-1]["role"] == turn.role:
            found[-1]["content"] += content
        else:
            found.append({"role": turn.role, "content": content})
    if found[0]["role"] != "user":
        raise body.said("messages", 'first message must use the "user" role')
    return found


def _content(turn: body.Turn, where: str) -> list[Params]:
    if isinstance(turn.content, str):
        if not turn.content:
            raise body.said(where, "user messages must have non-empty content")
        return [{"text": _text(turn.content)}]
    if not turn.content:
        raise body.said(f"{where}.content", "at least one content block is required")
    return [made for block in turn.content for made in _block(block)]


def _text(text: str) -> str:
    if not text:
        raise body.said("messages", "text content blocks must be non-empty")
    if text.isspace():
        raise body.said("messages", "text content blocks must contain non-whitespace text")
    return text


def _block(block: body.Block) -> list[Params]:
    """A block of Converse, and behind it the cache point that it asks for."""
    made = _BLOCKS[type(block)](block)
    control = getattr(block, "cache_control", None)
    return [made, _cache_point(control)] if control else [made]


def _cache_point(control: body.CacheControl) -> Params:
    """Five minutes are what is meant where nothing is said."""
    ttl = {} if control.ttl == "5m" else {"ttl": control.ttl}
    return {"cachePoint": {"type": "default", **ttl}}


def _image(block: body.Image) -> Params:
    raise cannot_take("image")


def _document(block: body.Document) -> Params:
    source, found = block.source, {"name": block.title or "document"}
    if block.context or (block.citations and block.citations.get("enabled")):
        raise cannot_take("citations" if block.citations else "context")
    if source.type == "text":
        return {"document": {**found, "format": "txt", "source": {"text": source.data}}}
    if source.type != "base64" or source.media_type not in _FORMATS:
        raise cannot_take("document")
    try:
        raw = base64.b64decode(source.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise body.said("messages", "a document is not valid base64") from error
    return {"document": {**found, "format": _FORMATS[source.media_type], "source": {"bytes": raw}}}


def _tool_use(block: body.ToolUse) -> Params:
    return {"toolUse": {"toolUseId": block.id, "name": block.name, "input": block.input}}


def _tool_result(block: body.ToolResult) -> Params:
    content = block.content
    if isinstance(content, str):
        content = [body.Text(text=content)] if content else []
    found: Params = {
        "toolUseId": block.tool_use_id,
        "content": [_in_result(each) for each in content],
    }
    return {"toolResult": found | ({"status": "error"} if block.is_error else {})}


def _in_result(block: body.Text | body.Image | body.Document) -> Params:
    return {"text": block.text} if isinstance(block, body.Text) else _BLOCKS[type(block)](block)


def _thinking(block: body.Thinking) -> Params:
    said = {"text": block.thinking, "signature": block.signature}
    return {"reasoningContent": {"reasoningText": said}}


def _redacted(block: body.RedactedThinking) -> Params:
    return {"reasoningContent": {"redactedContent": block.data.encode()}}


_BLOCKS: Mapping[type, Callable[[Any], Params]] = {
    body.Text: lambda block: {"text": _text(block.text)},
    body.Image: _image,
    body.Document: _document,
    body.ToolUse: _tool_use,
    body.ToolResult: _tool_result,
    body.Thinking: _thinking,
    body.RedactedThinking: _redacted,
}


def _system(system: Any) -> list[Params]:
    if system is UNSET or not system:
        return []
    if isinstance(system, str):
        return [{"text": _text(system)}]
    return [made for block in system for made in _block(block)]


def _tools(asked: body.Counted) -> Params:
    choice = asked.tool_choice
    if choice is not UNSET and not asked.tools:
        raise body.said("tool_choice", "tool_choice may only be specified while providing tools")
    if not asked.tools or (choice is not UNSET and choice.type == "none"):
        return {}
    tools = [made for tool in asked.tools for made in _tool(tool)]
    if choice is UNSET:
        return {"tools": tools}
    if choice.type == "tool" and choice.name is None:
        raise body.said("tool_choice.tool.name", "Field required")
    named = {"name": choice.name} if choice.type == "tool" else {}
    return {"tools": tools, "toolChoice": {choice.type: named}}


def _tool(tool: body.Tool) -> list[Params]:
    spec: Params = {"name": tool.name, "inputSchema": {"json": tool.input_schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict is not None:
        spec["strict"] = tool.strict
    made: Params = {"toolSpec": spec}
    return [made, _cache_point(tool.cache_control)] if tool.cache_control else [made]


def _shown(block: Params) -> Params:
    """One of Converse's blocks, whole, in Anthropic's words."""
    if "toolUse" in block:
        use = block["toolUse"]
        return {"type": "tool_use", "id": use["toolUseId"], "name": use["name"],
                "input": use["input"]}  # fmt: skip
    if "reasoningContent" in block:
        said = block["reasoningContent"]["reasoningText"]
        signature = said.get("signature", "")
        return {"type": "thinking", "thinking": said["text"], "signature": signature}
    return {"type": "text", "text": block["text"]}


def _begun(start: Params) -> Params:
    use = start["toolUse"]
    return {"type": "tool_use", "id": use["toolUseId"], "name": use["name"], "input": {}}


def _delta_of(delta: Params) -> tuple[Params, Params]:
    """The block that such a delta is of, empty, and the delta."""
    if "toolUse" in delta:
        return {}, {"type": "input_json_delta", "partial_json": delta["toolUse"]["input"]}
    if "reasoningContent" in delta:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        said = delta["reasoningContent"]
        if "text" in said:
            return block, {"type": "thinking_delta", "thinking": said["text"]}
        return block, {"type": "signature_delta", "signature": said.get("signature", "")}
    return {"type": "text", "text": ""}, {"type": "text_delta", "text": delta["text"]}


def _stopped(said: Params) -> Params:
    fields = said.get("additionalModelResponseFields") or {}
    return {
        "stop_reason": _STOPS.get(said["stopReason"], "end_turn"),
        "stop_sequence": fields.get("stop_sequence"),
    }


def _usage(usage: Params) -> Params:
    return {
        "input_tokens": usage["inputTokens"],
        "cache_creation_input_tokens": usage.get("cacheWriteInputTokens", 0),
        "cache_read_input_tokens": usage.get("cacheReadInputTokens", 0),
        "output_tokens": usage["outputTokens"],
    }


def _model(named: str) -> str:
    """`anthropic.claude-3-haiku-20240307-v1:0` calls itself `claude-3-haiku-20240307`."""
    provider, _, name = named.partition(".")
    if provider != "anthropic":
        return named
    stem, dash, version = name.partition(":")[0].rpartition("-v")
    return stem if dash and version.isdigit() else name

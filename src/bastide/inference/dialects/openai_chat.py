"""OpenAI's chat completions as Converse requests, and Converse's answers as theirs.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastide.inference.dialects import openai_tools as tools
from bastide.inference.dialects.turns import Turns
from bastide.kernel.errors import ServiceError, invalid, unsupported

Params = dict[str, Any]
DONE = "[DONE]"
STOPS_MAX = 4
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
_EXTRA = ("seed", "presence_penalty", "frequency_penalty")
# What a message may have, by its role; what is null is not there.
_MEMBERS = {
    "system": {"content"},
    "developer": {"content"},
    "user": {"content"},
    "assistant": {"content", "tool_calls", "refusal"},
    "tool": {"content", "tool_call_id"},
}


def request_of(operation: str, req: Mapping[str, Any]) -> Params:
    """Raises ServiceError for what Converse has no words for."""
    _only_default(operation, req)
    turns = Turns()
    for index, message in enumerate(req["messages"]):
        _add(operation, turns, message, f"messages[{index}]")
    found: Params = {"modelId": req["model"], "messages": turns.asking()}
    if turns.system:
        found["system"] = turns.system
    if config := config_of(req):
        found["inferenceConfig"] = config
    found |= tools.tool_config(operation, tools.functions(operation, req), req)
    extra = {name: req[name] for name in _EXTRA if name in req}
    if extra := {**extra, **tools.one_at_once(req, found)}:
        found["additionalModelRequestFields"] = extra
    return found | tools.output_config(operation, req.get("response_format"), "response_format")


def _only_default(operation: str, req: Mapping[str, Any]) -> None:
    """Members that are taken only where they say what is done anyway."""
    if req.get("service_tier", "auto") not in ("auto", "default"):
        raise unsupported(operation, f"service_tier={req['service_tier']}")
    if req.get("modalities", ["text"]) != ["text"]:
        raise unsupported(operation, f"modalities={req['modalities']}")
    if "stream_options" in req and not req.get("stream"):
        raise invalid("stream_options is only for an answer that streams.")
    wants_usage(operation, req)


def wants_usage(operation: str, req: Mapping[str, Any]) -> bool:
    options = req.get("stream_options") or {}
    if not isinstance(options, dict):
        raise invalid("stream_options must be an object.")
    for name, value in options.items():
        if name not in ("include_usage", "include_obfuscation") or not isinstance(value, bool):
            raise unsupported(operation, f"stream_options.{name}={value}")
    if options.get("include_obfuscation"):
        raise unsupported(operation, "stream_options.include_obfuscation")
    return bool(options.get("include_usage"))


def _add(operation: str, turns: Turns, message: Any, where: str) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in _MEMBERS:
        raise unsupported(operation, f"{where}.role={role}")
    known = _MEMBERS[role]
    for name, value in message.items():
        if value is not None and name != "role" and name not in known:
            raise unsupported(operation, f"{where}.{name}")
    content = message.get("content")
    match role:
        case "system" | "developer":
            turns.instruct(_texts(operation, content, where))
        case "user":
            turns.say("user", _texts(operation, content, where))
        case "tool":
            turns.say("user", [_result(operation, message, where)])
        case _:
            if message.get("refusal"):
                raise unsupported(operation, f"{where}.refusal")
            said = [] if content is None else _texts(operation, content, where)
            turns.say("assistant", [*said, *_calls(operation, message.get("tool_calls"), where)])


def _texts(operation: str, content: Any, where: str) -> list[Params]:
    """Text blocks. An empty text beside tool calls is how clients say nothing."""
    if isinstance(content, str):
        return [{"text": content}] if content else []
    if not isinstance(content, list):
        raise invalid(f"{where}.content must be a string or a list of parts.")
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text":
            raise unsupported(operation, f"{where}.content[{number}].type={kind}")
        if not isinstance(part.get("text"), str):
            raise invalid(f"{where}.content[{number}].text must be a string.")
    return [{"text": part["text"]} for part in content]


def _result(operation: str, message: Params, where: str) -> Params:
    call_id = message.get("tool_call_id")
    if not isinstance(call_id, str):
        raise invalid(f"{where}.tool_call_id must be a string.")
    content = _texts(operation, message.get("content"), where)
    return {"toolResult": {"toolUseId": call_id, "content": content}}


def _calls(operation: str, calls: Any, where: str) -> list[Params]:
    if calls is None:
        return []
    if not isinstance(calls, list):
        raise invalid(f"{where}.tool_calls must be a list.")
    found = []
    for number, call in enumerate(calls):
        at = f"{where}.tool_calls[{number}]"
        if not isinstance(call, dict) or call.get("type", "function") != "function":
            raise unsupported(operation, f"{at} that is no function's")
        function = call.get("function")
        if not isinstance(function, dict):
            raise invalid(f"{at}.function must be an object.")
        found.append(tools.use_block(call.get("id"), function, at))
    return found


def config_of(req: Mapping[str, Any]) -> Params:
    limits = {req[name] for name in ("max_tokens", "max_completion_tokens") if req.get(name)}
    if len(limits) > 1:
        raise invalid("max_tokens and max_completion_tokens are two limits. Give one of them.")
    names = {"temperature": "temperature", "top_p": "topP"}
    config: Params = {ours: req[theirs] for theirs, ours in names.items() if theirs in req}
    if limits:
        config["maxTokens"] = limits.pop()
    if "stop" in req and (stops := _stops(req["stop"])):
        config["stopSequences"] = stops
    return config


def _stops(given: Any) -> list[str]:
    stops = [given] if isinstance(given, str) else given
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise invalid("stop must be a string or a list of strings.")
    if len(stops) > STOPS_MAX:
        raise invalid(f"stop has more than {STOPS_MAX} sequences.")
    return stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What each part of an answer says of it."""

    id: str
    created: int
    model: str


def completion(named: Named, answer: Mapping[str, Any]) -> Params:
    content: Sequence[Params] = answer["output"]["message"]["content"]
    texts = [block["text"] for block in content if "text" in block]
    calls = [tools.call_of(block["toolUse"]) for block in content if "toolUse" in block]
    message: Params = {
        "role": "assistant",
        "content": "".join(texts) if texts or not calls else None,
        "refusal": None,
    }
    if calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": finish_of(answer["stopReason"]),
    }
    return {
        **_shared(named, "chat.completion"),
        "choices": [choice],
        "usage": usage_of(answer["usage"]),
    }


def finish_of(reason: str) -> str:
    found = _FINISH.get(reason)
    if found is None:  # malformed_tool_use and its kind
        raise ServiceError("ModelErrorException", "The model did not answer in the form asked for.")
    return found


def usage_of(usage: Mapping[str, int]) -> Params:
    return {
        "prompt_tokens": usage["inputTokens"],
        "completion_tokens": usage["outputTokens"],
        "total_tokens": usage["totalTokens"],
    }


def _shared(named: Named, kind: str) -> Params:
    return {"id": named.id, "object": kind, "created": named.created, "model": named.model}


@dataclass(slots=True)
class Chunks:
    """Converse's events as chunks, one at a time."""

    named: Named
    with_usage: bool
    calls: dict[int, int] = field(default_factory=dict)  # a block's index → the tool call's

    def of(self, event: Mapping[str, Any]) -> Iterator[Any]:
        (name, value), *_ = event.items()
        match name:
            case "messageStart":
                yield self._chunk({"role": "assistant", "content": "", "refusal": None})
            case "contentBlockStart" if "toolUse" in value["start"]:
                yield self._chunk({"tool_calls": [self._begun(value)]})
            case "contentBlockDelta":
                yield from self._delta(value)
            case "messageStop":
                yield self._chunk({}, finish_of(value["stopReason"]))
            case "metadata":
                if self.with_usage:
                    chunk = {**_shared(self.named, "chat.completion.chunk"), "choices": []}
                    yield {**chunk, "usage": usage_of(value["usage"])}
                yield DONE

    def _begun(self, value: Params) -> Params:
        index = self.calls[value["contentBlockIndex"]] = len(self.calls)
        use = value["start"]["toolUse"]
        function = {"name": use["name"], "arguments": ""}
        return {"index": index, "id": use["toolUseId"], "type": "function", "function": function}

    def _delta(self, value: Params) -> Iterator[Params]:
        delta = value["delta"]
        if "text" in delta:
            yield self._chunk({"content": delta["text"]})
        if "toolUse" in delta:
            index = self.calls[value["contentBlockIndex"]]
            function = {"arguments": delta["toolUse"]["input"]}
            yield self._chunk({"tool_calls": [{"index": index, "function": function}]})

    def _chunk(self, delta: Params, finish: str | None = None) -> Params:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        found = {**_shared(self.named, "chat.completion.chunk"), "choices": [choice]}
        return {**found, "usage": None} if self.with_usage else found

"""OpenAI's responses as Converse requests, and Converse's answers as theirs. Nothing is stored.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from collections.abc import Mapping
from typing import Any

from bastide.inference.dialects import openai_chat as chat
from bastide.inference.dialects import openai_tools as tools
from bastide.inference.dialects.turns import Turns
from bastide.kernel.errors import invalid, unsupported

Params = dict[str, Any]
_PARTS = {"user": "input_text", "assistant": "output_text"}
# What an item may have beside what is read of it: clients send back what they got.
_TOLD_BACK = {"type", "id", "status", "phase", "namespace", "caller"}
_MEMBERS = {
    "message": {"role", "content"},
    "function_call": {"call_id", "name", "arguments"},
    "function_call_output": {"call_id", "output"},
}


def request_of(operation: str, req: Mapping[str, Any]) -> Params:
    """Raises ServiceError for what Converse has no words for."""
    _only_default(operation, req)
    turns = Turns()
    if req.get("instructions"):
        turns.instruct([{"text": req["instructions"]}])
    given = req["input"]
    if isinstance(given, str):
        turns.say("user", [{"text": given}])
    elif isinstance(given, list) and given:
        for index, item in enumerate(given):
            _add(operation, turns, item, f"input[{index}]")
    else:
        raise invalid("input must be a string or a list of items.")
    found: Params = {"modelId": req["model"], "messages": turns.asking()}
    if turns.system:
        found["system"] = turns.system
    if config := chat.config_of({**req, "max_tokens": req.get("max_output_tokens")}):
        found["inferenceConfig"] = config
    found |= tools.tool_config(operation, tools.flat_functions(operation, req), req)
    if extra := tools.one_at_once(req, found):
        found["additionalModelRequestFields"] = extra
    return found | tools.output_config(operation, _form(operation, req), "text.format")


def _only_default(operation: str, req: Mapping[str, Any]) -> None:
    """Members that are taken only where they say what is done anyway."""
    if req.get("service_tier", "auto") not in ("auto", "default"):
        raise unsupported(operation, f"service_tier={req['service_tier']}")
    if req.get("truncation", "disabled") != "disabled":
        raise unsupported(operation, f"truncation={req['truncation']}")
    options = req.get("stream_options") or {}
    if not isinstance(options, dict) or any(options.values()):
        raise unsupported(operation, f"stream_options={options}"[:128])


def _form(operation: str, req: Mapping[str, Any]) -> Any:
    text = req.get("text") or {}
    if not isinstance(text, dict):
        raise invalid("text must be an object.")
    for name, value in text.items():
        if name != "format" and value is not None:
            raise unsupported(operation, f"text.{name}")
    return text.get("format")


def _add(operation: str, turns: Turns, item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise invalid(f"{where} must be an object.")
    kind = item.get("type", "message")
    if kind not in _MEMBERS:
        raise unsupported(operation, f"{where}.type={kind}")
    for name, value in item.items():
        if value is not None and name not in _TOLD_BACK | _MEMBERS[kind]:
            raise unsupported(operation, f"{where}.{name}")
    match kind:
        case "function_call":
            turns.say("assistant", [tools.use_block(item.get("call_id"), item, where)])
        case "function_call_output":
            turns.say("user", [_result(operation, item, where)])
        case _:
            _say(operation, turns, item, where)


def _say(operation: str, turns: Turns, item: Params, where: str) -> None:
    role = item.get("role")
    if role not in ("user", "assistant", "system", "developer"):
        raise unsupported(operation, f"{where}.role={role}")
    texts = _texts(operation, item.get("content"), _PARTS.get(role, "input_text"), where)
    if role in ("system", "developer"):
        turns.instruct(texts)
    else:
        turns.say(role, texts)


def _texts(operation: str, content: Any, kind: str, where: str) -> list[Params]:
    if isinstance(content, str):
        return [{"text": content}]
    if not isinstance(content, list):
        raise invalid(f"{where}.content must be a string or a list of parts.")
    for number, part in enumerate(content):
        given = part.get("type") if isinstance(part, dict) else None
        if given != kind:
            raise unsupported(operation, f"{where}.content[{number}].type={given}")
        if not isinstance(part.get("text"), str):
            raise invalid(f"{where}.content[{number}].text must be a string.")
    return [{"text": part["text"]} for part in content]


def _result(operation: str, item: Params, where: str) -> Params:
    call_id = item.get("call_id")
    if not isinstance(call_id, str):
        raise invalid(f"{where}.call_id must be a string.")
    content = _texts(operation, item.get("output"), "input_text", where)
    return {"toolResult": {"toolUseId": call_id, "content": content}}

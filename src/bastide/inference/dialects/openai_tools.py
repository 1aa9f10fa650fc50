"""Functions and forms of answers that OpenAI's two APIs share, in Converse's words."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from bastide.kernel.errors import invalid, unsupported

Params = dict[str, Any]
NO_ARGUMENTS = {"type": "object", "properties": {}}
ANY_OBJECT = {"type": "object"}


def flat_functions(operation: str, req: Mapping[str, Any]) -> list[Any]:
    """Those of responses, which do not nest them."""
    return _functions(operation, req, lambda tool: tool)


def functions(operation: str, req: Mapping[str, Any]) -> list[Any]:
    """Those of chat completions."""
    return _functions(operation, req, lambda tool: tool.get("function"))


def _functions(
    operation: str, req: Mapping[str, Any], inside: Callable[[Params], Any]
) -> list[Any]:
    found = []
    for index, tool in enumerate(req.get("tools") or ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind != "function":
            raise unsupported(operation, f"tools[{index}].type={kind}")
        found.append(inside(tool))
    return found


def tool_config(operation: str, given: list[Any], req: Mapping[str, Any]) -> Params:
    """`toolConfig`, or nothing where no tool may be used."""
    choice = req.get("tool_choice", "auto")
    if not given:
        if choice not in ("auto", "none"):
            raise invalid("tool_choice is only for a request with tools.")
        return {}
    specs = [{"toolSpec": _spec(each, f"tools[{index}]")} for index, each in enumerate(given)]
    if choice == "none":
        return {}
    return {"toolConfig": {"tools": specs, "toolChoice": _choice(operation, choice)}}


def one_at_once(req: Mapping[str, Any], config: Params) -> Params:
    """What `parallel_tool_calls` asks for, in the words that Claude's models have for it."""
    if req.get("parallel_tool_calls") is not False or "toolConfig" not in config:
        return {}
    return {"tool_choice": {"disable_parallel_tool_use": True}}


def _spec(function: Any, where: str) -> Params:
    """`strict` changes nothing: arguments are held to the schema, whatever it says."""
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise invalid(f"{where} has no name.")
    schema = function.get("parameters")
    if not isinstance(schema, dict | None):
        raise invalid(f"{where}.parameters must be a JSON schema.")
    spec: Params = {"name": function["name"], "inputSchema": {"json": schema or NO_ARGUMENTS}}
    if function.get("description"):
        spec["description"] = function["description"]
    return spec


def _choice(operation: str, choice: Any) -> Params:
    if choice == "auto":
        return {"auto": {}}
    if choice == "required":
        return {"any": {}}
    if isinstance(choice, dict) and choice.get("type") == "function":
        named = choice.get("function", choice)
        if isinstance(named, dict) and isinstance(named.get("name"), str):
            return {"tool": {"name": named["name"]}}
    shown = choice.get("type") if isinstance(choice, dict) else choice
    raise unsupported(operation, f"tool_choice={shown}")


def output_config(operation: str, form: Any, where: str) -> Params:
    """`outputConfig`, or nothing for plain text."""
    if form is None:
        return {}
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "text":
        return {}
    if kind == "json_object":
        return _structured({"schema": json.dumps(ANY_OBJECT), "name": "object"})
    if kind != "json_schema":
        raise unsupported(operation, f"{where}.type={kind}")
    inner = form.get("json_schema", form)
    if not isinstance(inner, dict) or not isinstance(inner.get("schema"), dict):
        raise invalid(f"{where} has no JSON schema.")
    found = {name: inner[name] for name in ("name", "description") if inner.get(name)}
    return _structured({"schema": json.dumps(inner["schema"]), **found})


def _structured(definition: Params) -> Params:
    form = {"type": "json_schema", "structure": {"jsonSchema": definition}}
    return {"outputConfig": {"textFormat": form}}


def use_block(call_id: Any, function: Mapping[str, Any], where: str) -> Params:
    """A call that the model made before, as a block of its turn."""
    name, arguments = function.get("name"), function.get("arguments")
    if not all(isinstance(each, str) for each in (call_id, name, arguments)):
        raise invalid(f"{where} needs an id, a name and arguments.")
    try:
        given = json.loads(arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise invalid(f"The arguments of {where} are not JSON.") from error
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": given}}


def call_of(use: Mapping[str, Any]) -> Params:
    function = {"name": use["name"], "arguments": json.dumps(use["input"], ensure_ascii=False)}
    return {"id": use["toolUseId"], "type": "function", "function": function}

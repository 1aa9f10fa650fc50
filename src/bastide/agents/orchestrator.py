"""An agency's function in the place of an agent's own loop: what it is sent, and what it may say.

It is asked at each state, and answers with an event: what is to be done next. What it says is a
stranger's. Source: https://docs.aws.amazon.com/bedrock/latest/userguide/agents-custom-orchestration.html
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bastide.agents.executing import BadResponse, object_in, strings_in
from bastide.agents.loop import Use
from bastide.kernel.errors import invalid, unsupported
from bastide.kernel.plain_json import check_depth, finite
from bastide.kernel.strangers import mended_in

Params = dict[str, Any]
CUSTOM = "CUSTOM_ORCHESTRATION"
MEMBERS = ("customOrchestration.executor.lambda",)
VERSION = "1.0"
PAYLOAD_MAX = 1024 * 1024  # bytes of an answer
TEXT_MAX = 400_000  # characters of what it says is to be done
TRACE_MAX = 25_000
DEPTH_MAX = 100  # levels; the last is of plain values
_OWN_EVENT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")
_USE_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}\Z")
_NAME_MAX = 256


class State(StrEnum):
    """At which it is asked; or one of its own, which it named itself."""

    START = "START"
    MODEL_INVOKED = "MODEL_INVOKED"
    TOOL_INVOKED = "TOOL_INVOKED"
    GUARDRAIL_APPLIED = "APPLY_GUARDRAIL_INVOKED"


class Action(StrEnum):
    INVOKE_MODEL = "INVOKE_MODEL"
    INVOKE_TOOL = "INVOKE_TOOL"
    APPLY_GUARDRAIL = "APPLY_GUARDRAIL"
    FINISH = "FINISH"


_OURS = frozenset((*State, *Action))


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """`event`: an `Action`, or a name of its own. `session`, `prompt`: the attributes from now on;
    None: as they are."""

    event: str
    text: str
    trace: str = ""
    session: Mapping[str, str] | None = None
    prompt: Mapping[str, str] | None = None


def executor_of(agent: Mapping[str, Any]) -> str:
    """The function of an agent, or of what is asked for one; "" if it has none."""
    if agent.get("orchestrationType") != CUSTOM:
        return ""
    return str(_executor(agent).get("lambda") or "")


def _executor(agent: Mapping[str, Any]) -> Mapping[str, Any]:
    return (agent.get("customOrchestration") or {}).get("executor") or {}


def check(operation: str, req: Mapping[str, Any]) -> None:
    """Refuses what is half said, and by name what would have no effect beside an orchestrator."""
    if req.get("orchestrationType", "DEFAULT") != CUSTOM:
        if _executor(req):
            raise invalid(f"customOrchestration needs the orchestrationType {CUSTOM}.")
        return
    if not executor_of(req):
        raise invalid(f"{CUSTOM} needs a function: customOrchestration.executor.lambda.")
    if req.get("agentCollaboration") == "SUPERVISOR_ROUTER":
        raise unsupported(operation, f"agentCollaboration=SUPERVISOR_ROUTER with {CUSTOM}")
    given = (req.get("promptOverrideConfiguration") or {}).get("promptConfigurations") or ()
    for one in given:
        kind = one.get("promptType")
        own = kind == "ORCHESTRATION" and one.get("promptCreationMode") == "OVERRIDDEN"
        answered = kind == "KNOWLEDGE_BASE_RESPONSE_GENERATION"
        if own or (answered and one.get("promptState") != "DISABLED"):
            raise unsupported(operation, f"promptType={kind} with {CUSTOM}")


def heard_in(payload: bytes) -> Heard:
    """Raises BadResponse. A function that says text says that text's JSON, as AWS's own samples."""
    if len(payload) > PAYLOAD_MAX:
        raise BadResponse(f"it has more than {PAYLOAD_MAX} bytes")
    whole = _json(payload)
    if isinstance(whole, str):
        whole = _json(whole)
    said = object_in(whole, "it")
    if said.get("version") != VERSION:
        raise BadResponse(f"version is not {VERSION}")
    event = said.get("actionEvent")
    if not isinstance(event, str) or not _may_be(event):
        raise BadResponse("actionEvent is none of those that there are")
    output, beside = object_in(said.get("output"), "output"), said.get("context")
    text = output.get("text")
    if not isinstance(text, str):
        raise BadResponse("output.text is no string")
    if len(text) > TEXT_MAX:
        raise BadResponse(f"output.text is longer than {TEXT_MAX} characters")
    context = object_in({} if beside is None else beside, "context")
    return Heard(
        event=event, text=text, trace=_trace(output),
        session=_attributes(context, "sessionAttributes"),
        prompt=_attributes(context, "promptSessionAttributes"),
    )  # fmt: skip


def _may_be(event: str) -> bool:
    """One of ours, or of its own: it never says that it is at a state which only we bring about."""
    return event in set(Action) or (event not in _OURS and bool(_OWN_EVENT.match(event)))


def _trace(output: Mapping[str, Any]) -> str:
    inside: Any = output
    for name in ("trace", "event", "text"):
        inside = object_in(inside, f"what holds {name}").get(name)
        if inside is None:
            return ""
    if not isinstance(inside, str):
        raise BadResponse("output.trace.event.text is no string")
    return inside[:TRACE_MAX]


def _attributes(context: Mapping[str, Any], name: str) -> Mapping[str, str] | None:
    """What is null there is not there, as in all of AWS's JSON."""
    if context.get(name) is None:
        return None
    given = {key: one for key, one in object_in(context[name], name).items() if one is not None}
    return strings_in(given, name)


def use_in(text: str) -> Use:
    """The call of INVOKE_TOOL. Whether there is such a tool, the loop says."""
    use = object_in(document_in(text).get("toolUse"), "output.text.toolUse")
    name, use_id, args = use.get("name"), use.get("toolUseId"), use.get("input")
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_MAX:
        raise BadResponse("toolUse.name is no name")
    if not isinstance(use_id, str) or not _USE_ID.match(use_id):
        raise BadResponse("toolUse.toolUseId is no id")
    return Use(id=use_id, name=name, args=object_in({} if args is None else args, "toolUse.input"))


def document_in(text: str) -> Params:
    """A request that is said as text."""
    return object_in(_json(text), "output.text")


def _json(said: bytes | str) -> Any:
    try:
        found = mended_in(json.loads(said, parse_float=finite, parse_constant=finite))
    except (ValueError, RecursionError) as error:
        raise BadResponse("it is no JSON") from error
    try:
        check_depth(found, DEPTH_MAX - 1)
    except ValueError as error:
        raise BadResponse(f"it is deeper than {DEPTH_MAX} levels") from error
    return found

"""The functions of a prepared agent, as a model is told of them, and who executes each."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bastide.agents import openapi, prompting
from bastide.agents.openapi import BadSchema

NAME_MAX = 64  # of a tool of Converse
TOOLS_MAX = 64  # of an agent, all of its groups together
ASK_USER = "ask_user"
RUN_CODE = "run_python"
USER_INPUT, CODE_INTERPRETER = "AMAZON.UserInput", "AMAZON.CodeInterpreter"
_WORDLESS = re.compile(r"[^A-Za-z0-9_-]+")
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "string": {"type": "string"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "array": {"type": "array", "items": {"type": "string"}},
}


class Does(StrEnum):
    """Who executes it."""

    RETURN = "RETURN_CONTROL"  # the caller
    EXECUTE = "LAMBDA"  # a function of the agency's
    COLLABORATE = "COLLABORATE"  # another agent
    INTERPRET = "CODE_INTERPRETER"  # it is code, which is run here
    LOOK_UP = "LOOK_UP"  # a knowledge base, which is asked here
    ASK_USER = "ASK_USER"  # the person, by answering


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """`places`: of an API's operation, where each argument goes."""

    name: str
    description: str
    schema: Mapping[str, Any]
    does: Does
    group: str = ""
    function: str = ""
    path: str = ""
    verb: str = ""
    target: str = ""  # the knowledge base, the other agent's alias, or the Lambda function
    relayed: bool = False  # the other agent is told what was said so far
    confirm: bool = False
    places: Mapping[str, str] = field(default_factory=dict)

    def spec(self) -> dict[str, Any]:
        """As Converse's toolConfig has it."""
        schema = {"json": dict(self.schema)}
        told = {"description": self.description} if self.description else {}
        return {"toolSpec": {"name": self.name, **told, "inputSchema": schema}}


def tools_of(definition: Mapping[str, Any]) -> dict[str, Tool]:
    """By name. Raises BadSchema, which says of which group it is."""
    found: list[Tool] = []
    for part in definition["parts"]:
        asked = part["asked"]
        if part["kind"] == "action-group" and asked["actionGroupState"] == "ENABLED":
            try:
                found += _of_group(part["name"], asked)
            except BadSchema as error:
                raise BadSchema(f"Action group {part['name']}: {error}") from error
        elif part["kind"] == "knowledge-base" and asked["knowledgeBaseState"] == "ENABLED":
            found.append(_look_up(part["name"], asked["description"], _query(definition["agent"])))
        elif part["kind"] == "collaborator" and is_supervisor(definition["agent"]):
            found.append(_collaborator(part["name"], asked))
    if len(found) > TOOLS_MAX:
        raise BadSchema(f"The agent has {len(found)} functions; {TOOLS_MAX} is the most.")
    return _named(found)


def _of_group(group: str, asked: Mapping[str, Any]) -> Iterator[Tool]:
    if parent := asked.get("parentActionGroupSignature"):
        yield _run_code(group) if parent == CODE_INTERPRETER else _ask_user(group)
    elif "functionSchema" in asked:
        for function in asked["functionSchema"].get("functions") or ():
            yield _executed(_of_function(group, function), asked)
    else:
        for one in openapi.operations(asked["apiSchema"].get("payload") or ""):
            tool = Tool(
                name=one.name, description=one.description, schema=one.schema,
                does=Does.RETURN, group=group, path=one.path, verb=one.verb,
                confirm=one.confirm, places=one.places,
            )  # fmt: skip
            yield _executed(tool, asked)


def _executed(tool: Tool, asked: Mapping[str, Any]) -> Tool:
    """By whom its group says: a Lambda function, or the caller."""
    arn = (asked.get("actionGroupExecutor") or {}).get("lambda")
    return replace(tool, does=Does.EXECUTE, target=arn) if arn else tool


def _of_function(group: str, function: Mapping[str, Any]) -> Tool:
    given = function.get("parameters") or {}
    properties = {
        name: {
            **_TYPES[one["type"]],
            **({"description": one["description"]} if one.get("description") else {}),
        }
        for name, one in given.items()
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": [name for name, one in given.items() if one.get("required")],
        "additionalProperties": False,
    }
    return Tool(
        name=function["name"], description=function.get("description") or "", schema=schema,
        does=Does.RETURN, group=group, function=function["name"],
        confirm=function.get("requireConfirmation") == "ENABLED",
    )  # fmt: skip


def _ask_user(group: str) -> Tool:
    return Tool(
        name=ASK_USER,
        description="Ask the user for what is needed and was not said.",
        schema=_one_text("question", "The question to the user."),
        does=Does.ASK_USER,
        group=group,
    )


def _run_code(group: str) -> Tool:
    return Tool(
        name=RUN_CODE,
        description=(
            "Run Python with its standard library, without a network. The answer is what it "
            "prints. Files in its folder are those of this conversation, and are kept."
        ),
        schema=_one_text("code", "The program."),
        does=Does.INTERPRET,
        group=group,
    )


def _query(agent: Mapping[str, Any]) -> str:
    """What a model is to ask a knowledge base for: what is found is told it, or an answer is."""
    answered = prompting.wants(agent, prompting.Prompt.KNOWLEDGE_BASE)
    return "The whole question." if answered else "What to look for, in a few words."


def _look_up(knowledge_base_id: str, description: str, query: str) -> Tool:
    return Tool(
        name=f"search_{knowledge_base_id}",
        description=f"Search documents. {description}",
        schema=_one_text("query", query),
        does=Does.LOOK_UP,
        target=knowledge_base_id,
    )


def is_supervisor(agent: Mapping[str, Any]) -> bool:
    return agent.get("agentCollaboration") in ("SUPERVISOR", "SUPERVISOR_ROUTER")


def returns_control(definition: Mapping[str, Any]) -> bool:
    """Whether it has functions that its caller executes. Raises BadSchema."""
    return any(one.does is Does.RETURN for one in tools_of(definition).values())


def _collaborator(name: str, asked: Mapping[str, Any]) -> Tool:
    return Tool(
        name=f"ask_{name}",
        description=f"Ask the agent {name}. {asked['collaborationInstruction']}",
        schema=_one_text("message", "What to ask, with all that must be known for it."),
        does=Does.COLLABORATE,
        group=name,
        target=asked["agentDescriptor"].get("aliasArn") or "",
        relayed=asked["relayConversationHistory"] == "TO_COLLABORATOR",
    )


def _one_text(name: str, description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": description}},
        "required": [name],
        "additionalProperties": False,
    }


def _named(found: Sequence[Tool]) -> dict[str, Tool]:
    """Short names where they are told apart by them, else with their group's."""
    counted = Counter(_clean(tool.name) for tool in found)
    named: dict[str, Tool] = {}
    for tool in found:
        name = _clean(tool.name)
        if counted[name] > 1:
            name = _clean(f"{tool.group}__{tool.name}")
        if name in named:
            raise BadSchema(f"Two functions of action group {tool.group} have the name {name}.")
        named[name] = replace(tool, name=name)
    return named


def _clean(name: str) -> str:
    return _WORDLESS.sub("_", name)[:NAME_MAX]

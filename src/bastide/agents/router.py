"""A supervisor that only routes: one choice among its collaborators hands one the user's words as
they are, and its answer is the answer. Where none fits, the supervisor works as any other.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/agents-multi-agent-collaboration.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bastide.agents import spotlight
from bastide.agents.asking import flat
from bastide.agents.loop import Turn
from bastide.agents.tools import Does, Tool

Params = dict[str, Any]
ROUTER = "SUPERVISOR_ROUTER"
ROUTE = "route"
NONE = "none_of_them"
TOKENS_MAX = 64
_ASKED = (
    "Choose who answers the last message of the user. Who can do what:\n{others}\n"
    f"{NONE}: the message is for several of them, or for none."
)


def routes(agent: Mapping[str, Any], turn: Turn) -> list[Tool]:
    """Those among whom is chosen; none where the agent is no router. One with a guardrail works as
    any supervisor: the user's own words and another's answer would pass by it."""
    if agent.get("agentCollaboration") != ROUTER or agent.get("guardrailConfiguration"):
        return []
    return [tool for tool in turn.tools.values() if tool.does is Does.COLLABORATE]


def request_of(agent: Mapping[str, Any], turn: Turn, others: Sequence[Tool]) -> Params:
    names = [*(tool.name for tool in others), NONE]
    told = "\n".join(f"{tool.name}: {tool.description}" for tool in others)
    schema = {
        "type": "object",
        "properties": {"to": {"type": "string", "enum": names}},
        "required": ["to"],
        "additionalProperties": False,
    }
    spec = {"name": ROUTE, "description": "Choose.", "inputSchema": {"json": schema}}
    return {
        "modelId": agent["foundationModel"],
        "system": [{"text": f"{_ASKED.format(others=told)}\n\n{spotlight.rule(turn.fence)}"}],
        "messages": flat(turn.messages),
        "inferenceConfig": {"temperature": 0.0, "maxTokens": TOKENS_MAX},
        "toolConfig": {"tools": [{"toolSpec": spec}], "toolChoice": {"tool": {"name": ROUTE}}},
    }


def chosen(content: Sequence[Mapping[str, Any]], others: Sequence[Tool]) -> Tool | None:
    for block in content:
        if "toolUse" in block:
            name = (block["toolUse"].get("input") or {}).get("to")
            return next((tool for tool in others if tool.name == name), None)
    return None


def call_of(tool: Tool, use_id: str, words: str) -> list[Params]:
    """The choice, as the call of a supervisor: the user's own words are the message."""
    return [{"toolUse": {"toolUseId": use_id, "name": tool.name, "input": {"message": words}}}]

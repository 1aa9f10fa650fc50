"""What a model is asked in a turn: a request to Converse."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bastide.agents import spotlight
from bastide.agents.loop import Message, Turn

Params = dict[str, Any]
TOKENS_MAX = 1_024  # of one answer
_WITHOUT = "Answer the user now, in words, from what is known so far."


def request_of(
    agent: Mapping[str, Any], turn: Turn, prompted: Mapping[str, str], *, final: bool
) -> Params:
    """`prompted`: promptSessionAttributes, which the caller gives for this turn."""
    req: Params = {
        "modelId": agent["foundationModel"],
        "system": [{"text": _system(agent, turn, prompted)}],
        "messages": list(turn.messages),
        "inferenceConfig": {"temperature": 0.0, "maxTokens": TOKENS_MAX},
    }
    if final:
        req["messages"] = flat(turn.messages)
        return req
    tools = [tool.spec() for tool in turn.tools.values()]
    return {**req, "toolConfig": {"tools": tools, "toolChoice": {"auto": {}}}}


def _system(agent: Mapping[str, Any], turn: Turn, prompted: Mapping[str, str]) -> str:
    parts = [str(agent.get("instruction") or "")]
    if turn.tools:
        parts.append(spotlight.rule(turn.fence))
    if prompted:
        parts.append(f"What holds for this request: {json.dumps(dict(prompted))}")
    return "\n\n".join(part for part in parts if part)


def flat(messages: Sequence[Message]) -> list[Params]:
    """The same in words, for a model that is offered no functions."""
    found: list[Params] = [
        {"role": message["role"], "content": [{"text": "\n".join(_said(message))}]}
        for message in messages
    ]
    if any("toolResult" in block for block in messages[-1]["content"]):
        found[-1]["content"].append({"text": _WITHOUT})
    return list(found)


def _said(message: Message) -> Iterator[str]:
    for block in message["content"]:
        if "toolUse" in block:
            use = block["toolUse"]
            yield f"I call {use['name']} with {json.dumps(use['input'])}."
        elif "toolResult" in block:
            yield from (one["text"] for one in block["toolResult"]["content"])
        else:
            yield str(block["text"])

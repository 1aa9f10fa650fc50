"""What a model is asked in a turn: a request to Converse."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bastide.agents import prompting, spotlight
from bastide.agents.asked import Asked
from bastide.agents.loop import Message, Turn

Params = dict[str, Any]
_REMEMBERED = "What was kept of earlier sessions with this user, the newest first:"
_WITHOUT = "Answer the user now, in words, from what is known so far."


def request_of(asked: Asked, turn: Turn, prompted: Mapping[str, str], *, final: bool) -> Params:
    """`prompted`: promptSessionAttributes, as they are now."""
    agent = asked.agent
    rule = spotlight.rule(turn.fence) if turn.tools or asked.remembered else ""
    system = prompting.system(agent, rule, prompted) + remembered(asked, turn)
    req: Params = {
        "modelId": agent["foundationModel"],
        "system": [{"text": system}],
        "messages": list(turn.messages),
        **prompting.inference(agent),
        **prompting.guarded(agent.get("guardrailConfiguration")),
    }
    if final:
        return {**req, "messages": flat(turn.messages)}
    tools = [tool.spec() for tool in turn.tools.values()]
    return {**req, "toolConfig": {"tools": tools, "toolChoice": {"auto": {}}}}


def remembered(asked: Asked, turn: Turn) -> str:
    """Behind a system prompt; "" where there is nothing."""
    if not asked.remembered:
        return ""
    return f"\n\n{_REMEMBERED}\n{spotlight.spotlit(asked.remembered, turn.fence)}"


def flat(messages: Sequence[Message]) -> list[Params]:
    """The same for a model that is offered no functions, and asked to answer if it was."""
    found = in_words(messages)
    if any("toolResult" in block for block in messages[-1]["content"]):
        found[-1]["content"].append({"text": _WITHOUT})
    return found


def in_words(messages: Sequence[Message]) -> list[Params]:
    """What functions returned is told in the user's turn, and that they were called is not."""
    called: dict[str, str] = {}
    found: list[Params] = []
    for message in messages:
        texts = list(_said(message, called))
        if not texts:
            continue
        if found and found[-1]["role"] == message["role"]:
            found[-1]["content"][0]["text"] += "\n\n" + "\n\n".join(texts)
        else:
            content = [{"text": "\n\n".join(texts)}]
            found.append({"role": message["role"], "content": content})
    return found


def _said(message: Message, called: dict[str, str]) -> Iterator[str]:
    has_calls = any("toolUse" in block for block in message["content"])
    for block in message["content"]:
        if "toolUse" in block:
            use = block["toolUse"]
            called[use["toolUseId"]] = f"{use['name']}({json.dumps(use['input'])})"
        elif "toolResult" in block:
            result = block["toolResult"]
            told = "\n".join(one["text"] for one in result["content"])
            yield f"{called.get(result['toolUseId'], 'A function')} returned:\n{told}"
        elif not has_calls:
            yield str(block["text"])

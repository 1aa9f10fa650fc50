"""What an orchestrator has the agent's model asked: its own words, within the agent's walls."""

import json
from collections.abc import Mapping
from typing import Any

from bastide.agents import guarding, orchestrator, prompting, spotlight
from bastide.agents.asked import Asked
from bastide.agents.asking import remembered
from bastide.agents.executing import BadResponse
from bastide.agents.loop import Turn
from bastide.agents.ports import Requests

Params = dict[str, Any]
CONVERSE = "bedrock-runtime.Converse"


def request_of(requests: Requests, asked: Asked, turn: Turn, text: str) -> Params:
    """To the agent's model, under the agent's guardrail; what functions returned is data in it, as
    in any agent's. Raises BadResponse, and ServiceError for what Converse's own door refuses."""
    model = asked.agent["foundationModel"]
    given = {"modelId": model, **orchestrator.document_in(text)}
    if given.get("toolConfig") == {"tools": []}:  # so AWS's samples ask for an agent without tools
        del given["toolConfig"]
    req = requests.read(CONVERSE, given)
    if req["modelId"] != model:
        raise BadResponse("modelId is not the agent's model")
    if "guardrailConfig" in req and not guarding.is_own(asked, req["guardrailConfig"]):
        raise BadResponse("guardrailConfig is not the agent's guardrail")
    system = list(req.get("system") or [])
    messages = [_spotlit(message, turn.fence) for message in req["messages"]]
    blocks = [*system, *(block for one in messages for block in one["content"])]
    if any("guardContent" in block for block in blocks):
        raise BadResponse("guardContent would keep the rest from the agent's guardrail")
    if turn.tools or asked.remembered:
        system.append({"text": spotlight.rule(turn.fence) + remembered(asked, turn)})
    config = {"maxTokens": prompting.TOKENS_MAX, **(req.get("inferenceConfig") or {})}
    found = {**req, "messages": messages, "system": system, "inferenceConfig": config}
    found |= prompting.guarded(guarding.own(asked))
    return {name: value for name, value in found.items() if value}


def _spotlit(message: Mapping[str, Any], fence: str) -> Params:
    return {**message, "content": [_fenced(block, fence) for block in message["content"]]}


def _fenced(block: Params, fence: str) -> Params:
    if "toolResult" not in block:
        return block
    result = block["toolResult"]
    content = [_as_data(one, fence) for one in result["content"]]
    return {"toolResult": {**result, "content": content}}


def _as_data(one: Params, fence: str) -> Params:
    if "text" in one:
        return {"text": spotlight.spotlit(one["text"], fence)}
    if "json" in one:
        return {"text": spotlight.spotlit(json.dumps(one["json"], ensure_ascii=False), fence)}
    raise BadResponse("a toolResult has text or json as its content")

"""What a model is asked about a session that has ended, and what is kept of its answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from bastide.agents import spotlight
from bastide.agents.asking import in_words
from bastide.agents.loop import Message

Params = dict[str, Any]
TOKENS_MAX = 400
LETTERS_MAX = 25_000
_ASKED = (
    "Sum up the session between a user and an assistant that is given to you: what the user "
    "wanted, what was found out, what is still open, and what the user prefers. Some short "
    "sentences, about them, in the past. Say nothing else."
)


def request_of(agent: Mapping[str, Any], messages: Sequence[Message], fence: str) -> Params:
    said = "\n\n".join(
        f"{message['role']}: {block['text']}"
        for message in in_words(messages)
        for block in message["content"]
    )
    req: Params = {
        "modelId": agent["foundationModel"],
        "system": [{"text": f"{_ASKED}\n\n{spotlight.rule(fence)}"}],
        "messages": [{"role": "user", "content": [{"text": spotlight.spotlit(said, fence)}]}],
        "inferenceConfig": {"temperature": 0.0, "maxTokens": TOKENS_MAX},
    }
    if guardrail := agent.get("guardrailConfiguration"):
        req["guardrailConfig"] = dict(guardrail)
    return req


def summary_of(answer: Mapping[str, Any]) -> str:
    """Nothing of what a guardrail stopped."""
    if answer.get("stopReason") == "guardrail_intervened":
        return ""
    content = answer["output"]["message"]["content"]
    return "\n".join(str(block.get("text") or "") for block in content).strip()[:LETTERS_MAX]

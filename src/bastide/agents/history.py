"""What was said before a session began, as its caller tells it: sessionState.conversationHistory.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_ConversationHistory.html
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bastide.agents.loop import Message, Turn
from bastide.agents.sessions import Held
from bastide.kernel.errors import invalid

MEMBERS = ("conversationHistory.messages.role", "conversationHistory.messages.content.text")
MESSAGES_MAX = 1_000
SIZE_MAX = 200_000  # characters


def told(held: Held, state: Mapping[str, Any]) -> Held:
    """The conversation behind it, and tainted: nobody knows what was read for it."""
    given = (state.get("conversationHistory") or {}).get("messages") or ()
    if not given:
        return held
    if held.number or held.turn.messages:
        raise invalid("conversationHistory is taken with the first request of a session only.")
    if len(given) > MESSAGES_MAX:
        raise invalid(f"conversationHistory has more than {MESSAGES_MAX} messages.")
    messages = [_message(one) for one in given]
    roles = [one["role"] for one in messages]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise invalid("conversationHistory must go from user to assistant, in turn.")
    if sum(len(one["content"][0]["text"]) for one in messages) > SIZE_MAX:
        raise invalid(f"conversationHistory is longer than {SIZE_MAX} characters.")
    turn: Turn = replace(held.turn, messages=tuple(messages), tainted=True)
    return replace(held, turn=turn)


def _message(given: Mapping[str, Any]) -> Message:
    text = "\n".join(str(block.get("text") or "") for block in given["content"])
    if not text.strip():
        raise invalid("A message of conversationHistory has no text.")
    return {"role": given["role"], "content": [{"text": text}]}

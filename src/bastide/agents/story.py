"""A session as its orchestrator is told of it: each turn, what was said in it and done, in steps.

It is kept with the conversation, and its oldest turns are left out as those of the conversation.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastide.agents.asking import in_words
from bastide.agents.loop import Message
from bastide.agents.orchestrator import Action, Heard, State, use_in

Params = dict[str, Any]
ROUNDS_MAX = 50  # times that an orchestrator is asked in one turn
ENDED = "This request ended here."
SIZE_MAX = 512 * 1024  # characters of one turn's steps, and of all that is kept


@dataclass(slots=True)
class Story:
    """`turns`: in AWS's words, `context.session`. `begun`: this call's turn is the last of them.
    `judged`: what a model answered in it, under the guardrail. `hidden`: that hid some of it."""

    turns: list[Params] = field(default_factory=list)
    begun: bool = False
    judged: set[str] = field(default_factory=set)
    hidden: bool = False

    def begin(self, words: str, before: Sequence[Message]) -> None:
        """A turn with steps of its own. `before`: what its caller says was said."""
        if self.turns:
            self._close()
        else:
            self.turns = told_of(before)
        self.turns.append({"agentInput": words, "intermediarySteps": []})
        self.begun = True

    def go_on(self) -> None:
        """The turn that waited for its caller, or for the user."""
        if not self.turns:
            self.turns.append({"agentInput": "", "intermediarySteps": []})
        self.begun = True

    def went(self, state: str, text: str, heard: Heard) -> None:
        said = {"event": heard.event, "text": heard.text}
        self._steps().append(_step(state, text, said))

    def stopped(self, model: str, text: str) -> None:
        """By the guardrail, in what the model was asked or answered: its words are the end."""
        said = {"event": Action.FINISH, "text": text}
        self._steps().append(_step(State.MODEL_INVOKED, model, said))

    def end(self, text: str) -> None:
        if self.begun:
            self.turns[-1]["agentOutput"] = text

    @property
    def spent(self) -> str:
        if len(self._steps()) >= ROUNDS_MAX:
            return f"The orchestrator was asked {ROUNDS_MAX} times and did not come to an end."
        if _size(self.turns[-1]) > SIZE_MAX:
            return f"What the orchestrator said is longer than {SIZE_MAX} characters."
        return ""

    def kept(self) -> list[Params]:
        """The newest turns that there is room for, and the last in any case."""
        turns = list(self.turns)
        while len(turns) > 1 and sum(map(_size, turns)) > SIZE_MAX:
            turns.pop(0)
        return turns

    def _close(self) -> None:
        """A call that the user went on from has a result, and its turn an end: so whoever tells a
        model all of it has one that models take. As AWS's samples read it, an end that is not a
        model's is JSON."""
        last = (self._steps() or [{"orchestrationOutput": {"event": ""}}])[-1]
        asked = last["orchestrationOutput"]
        if asked["event"] == Action.INVOKE_TOOL:
            content = [{"text": "It has no result."}]
            result = {"toolUseId": use_in(asked["text"]).id, "content": content, "status": "error"}
            ended = {"event": Action.FINISH, "text": json.dumps({"text": ENDED})}
            told = json.dumps({"toolResult": result})
            self._steps().append(_step(State.TOOL_INVOKED, told, ended))

    def _steps(self) -> list[Params]:
        found: list[Params] = self.turns[-1]["intermediarySteps"]
        return found


def _step(state: str, text: str, said: Mapping[str, str]) -> Params:
    """AWS's own samples read the words of START as they are, and all else as JSON."""
    told = str(json.loads(text)["text"]) if state == State.START else text
    return {
        "orchestrationInput": {"state": str(state), "text": told},
        "orchestrationOutput": {name: str(one) for name, one in said.items()},
    }


def _size(turn: Mapping[str, Any]) -> int:
    texts = [
        one[side]["text"]
        for one in turn["intermediarySteps"]
        for side in ("orchestrationInput", "orchestrationOutput")
    ]
    return sum(map(len, (turn["agentInput"], turn.get("agentOutput", ""), *texts)))


def told_of(messages: Sequence[Message]) -> list[Params]:
    """Turns of a conversation that no orchestrator led, as if a model had answered each at once."""
    said = [(one["role"], one["content"][0]["text"]) for one in in_words(messages)]
    pairs = itertools.pairwise(said)
    return [_told(asked, answer) for (one, asked), (other, answer) in pairs
            if (one, other) == ("user", "assistant")]  # fmt: skip


def _told(asked: str, answer: str) -> Params:
    begun = json.dumps({"text": asked})
    output = {"role": "assistant", "content": [{"text": answer}]}
    model = json.dumps({"output": output, "stopReason": "end_turn"})
    return {
        "agentInput": asked,
        "agentOutput": answer,
        "intermediarySteps": [
            _step(State.START, begun, {"event": Action.INVOKE_MODEL, "text": ""}),
            _step(State.MODEL_INVOKED, model, {"event": Action.FINISH, "text": answer}),
        ],
    }

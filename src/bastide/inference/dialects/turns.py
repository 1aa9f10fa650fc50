"""A conversation as Converse wants it: first instructions apart, and turns that alternate."""

from dataclasses import dataclass, field
from typing import Any

from bastide.inference.conversation import ENDS
from bastide.kernel.errors import invalid

Params = dict[str, Any]


@dataclass(slots=True)
class Turns:
    """What one side says in several messages is one turn."""

    system: list[Params] = field(default_factory=list)
    messages: list[Params] = field(default_factory=list)

    def instruct(self, texts: list[Params]) -> None:
        """Before all turns, or as one of the system's between them."""
        if self.messages:
            self.say("system", texts)
        else:
            self.system += texts

    def say(self, role: str, blocks: list[Params]) -> None:
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def asking(self) -> list[Params]:
        """The turns of who wants an answer, and not one of theirs continued."""
        if self.messages and self.messages[-1]["role"] == "assistant":
            raise invalid(ENDS)
        return self.messages

"""A conversation as Converse wants it: instructions apart, and turns that alternate."""

from dataclasses import dataclass, field
from typing import Any

from bastide.kernel.errors import unsupported

Params = dict[str, Any]


@dataclass(slots=True)
class Turns:
    """What one side says in several messages is one turn."""

    system: list[Params] = field(default_factory=list)
    messages: list[Params] = field(default_factory=list)

    def instruct(self, operation: str, texts: list[Params], where: str) -> None:
        """Converse has its instructions before all turns; those given later it cannot take."""
        if self.messages:
            raise unsupported(operation, f"{where}: instructions after the first turn")
        self.system += texts

    def say(self, role: str, blocks: list[Params]) -> None:
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

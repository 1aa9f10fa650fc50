"""A write, asked of both engines when its handler knows what it touches.

The chain has asked before the handler ran, when only a name was known: an object is put beside
those of other labels, and only the write can tell what it makes, replaces, removes or tags.
"""

from dataclasses import dataclass
from typing import Protocol

from bastide.kernel.call import Principal
from bastide.kernel.labels.label import Label
from bastide.policy.evaluator import Reason
from bastide.policy.walls import Mode, Walls


class Second(Protocol):
    def altering(
        self, principal: Principal, action: str, resource: str, label: Label, mode: Mode
    ) -> Reason | None:
        """Why not, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    walls: Walls
    second: Second

    def permits(
        self, principal: Principal, action: str, resource: str, label: Label, *, is_new: bool
    ) -> bool:
        """Whether a principal may do this to what has that label. `is_new`: nothing that was there
        becomes another."""
        mode = Mode.MAKE if is_new else Mode.CHANGE
        if not self.walls.permits_altering(principal, action, label, mode):
            return False
        return self.second.altering(principal, action, resource, label, mode) is None

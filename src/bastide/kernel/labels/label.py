"""The lattice of classification labels: a level and a set of categories, and who dominates whom.

Source: D. E. Bell and L. J. LaPadula, Secure Computer System: Unified Exposition and Multics
Interpretation, MTR-2997 (1976); D. Denning, A Lattice Model of Secure Information Flow (1976).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bastide.kernel.labels.scheme import Scheme


@dataclass(frozen=True, slots=True)
class Label:
    """A point of a scheme's lattice.

    `categories` has one bit for each compartment, programme and control, and one for each nation
    that the marking WITHHOLDS the data from. So more bits are always more restricted: to dominate
    is a superset, to combine is a union, and a releasability list needs no rule of its own.
    """

    scheme: "Scheme"
    level: int
    categories: int

    def dominates(self, other: "Label") -> bool:
        """Whether this is at least as restricted as `other` in every respect."""
        if self.scheme is not other.scheme:
            raise ValueError("Labels of two schemes cannot be compared.")
        return self.level >= other.level and not other.categories & ~self.categories

    def join(self, other: "Label") -> "Label":
        """The least label that dominates both: that of what is made of both."""
        if self.dominates(other):
            return self
        if other.dominates(self):
            return other
        return Label(self.scheme, max(self.level, other.level), self.categories | other.categories)

    def meet(self, other: "Label") -> "Label":
        """The greatest label that both dominate: what two clearances have in common."""
        if self.dominates(other):
            return other
        if other.dominates(self):
            return self
        return Label(self.scheme, min(self.level, other.level), self.categories & other.categories)

    @property
    def text(self) -> str:
        """The canonical marking; `scheme.parse` gives the same label back."""
        return self.scheme.format(self)

    def __str__(self) -> str:
        return self.text


def joined(labels: Iterable[Label]) -> Label | None:
    """That of what is made of all of them; None of nothing."""
    found: Label | None = None
    for label in labels:
        found = label if found is None else found.join(label)
    return found

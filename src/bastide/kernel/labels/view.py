"""What one session sees of a region."""

from dataclasses import dataclass

from bastide.kernel.labels.label import Label


@dataclass(frozen=True, slots=True)
class View:
    """`seen` are the markings in use that the session dominates; its own is among them once
    anything carries it. `writer`: where not "", of objects it sees those alone that this service of
    the region wrote."""

    session: Label
    seen: tuple[str, ...]
    writer: str = ""

    @property
    def own(self) -> str:
        """The marking of what the session may change."""
        return self.session.text

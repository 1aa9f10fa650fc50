"""What one session sees of a region."""

from dataclasses import dataclass

from bastide.kernel.labels.label import Label


@dataclass(frozen=True, slots=True)
class View:
    """`seen` are the markings in use that the session dominates; its own is among them once
    anything carries it."""

    session: Label
    seen: tuple[str, ...]

    @property
    def own(self) -> str:
        """The marking of what the session may change."""
        return self.session.text

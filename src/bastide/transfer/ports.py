"""What the gate needs of its siblings; joined in `app/`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What people are asked to approve. `digest` is that of the exact action: of a bundle with all
    that it will do here, or of an anchor. `people`: how many must, none of them its author."""

    name: str
    digest: str
    people: int
    account: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Who approved a deed, and the digest of the action that they signed; "" where nobody had to
    be asked."""

    people: Sequence[str]
    approval: str


class NotApproved(Exception):
    """Not enough people have approved exactly this; the text says what is missing."""


class Approvals(Protocol):
    """The two-person rule (`policy/approvals`)."""

    def request(self, deed: Deed) -> str:
        """Ask for it, if that was not done yet; answers the request's id."""
        ...

    def use(self, deed: Deed) -> Consent:
        """Who approved exactly this: used up by it. Raises NotApproved, and asks for nothing."""
        ...


class Nobody:
    """Where nothing is joined that asks people, nothing is approved."""

    def request(self, deed: Deed) -> str:
        return ""

    def use(self, deed: Deed) -> Consent:
        raise NotApproved("nobody can approve it: this region has no approvals")

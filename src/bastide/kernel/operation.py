"""What a handler method honours of its operation's input, said beside the method itself.

A member that the service model knows, that the caller sets, and that is neither honoured nor
accepted, is refused by name (DESIGN.md, promise 2). Paths are dotted; lists are transparent:
`"InputDataConfig.DataSource.S3DataSource.S3Uri"`. A path covers all that lies below it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Honours:
    """`members` are acted upon. `accepted` have no effect here, each with the reason why that
    is no lie; the reasons are printed in docs/operations.md."""

    members: frozenset[str]
    accepted: Mapping[str, str] = field(default_factory=dict)

    def stranger(self, params: Mapping[str, Any]) -> str:
        """The first member of a request made inside the region that is neither honoured nor
        accepted; "" if there is none. Those from outside, `wire/honours.py` checks by shape."""
        known = (*self.members, *self.accepted)
        return next(
            (found for name in params if (found := _strange(known, name, params[name]))), ""
        )


def _strange(known: Collection[str], path: str, value: Any) -> str:
    if path in known or (not value and type(value) not in (int, float)):
        return ""
    if not any(each.startswith(f"{path}.") for each in known):
        return path
    items = value if isinstance(value, list) else [value]
    below = ((f"{path}.{name}", item[name]) for item in items for name in item)
    return next((found for name, inner in below if (found := _strange(known, name, inner))), "")


def operation(*members: str, accepted: Mapping[str, str] | None = None) -> Callable[[F], F]:
    """Mark a method as an AWS operation that honours `members` of its input."""

    def mark(method: F) -> F:
        method.__honours__ = Honours(frozenset(members), accepted or {})  # type: ignore[attr-defined]
        return method

    return mark


def honours_of(method: Callable[..., object]) -> Honours:
    """The mark of a handler method; a method without one is a mistake at start-up."""
    found = getattr(method, "__honours__", None)
    if not isinstance(found, Honours):
        raise TypeError(f"{method.__qualname__} is public but is not marked @operation(...)")
    return found

"""What a policy can read, from Cedar's own JSON form of it: what a decision may be kept by."""

from collections.abc import Iterator, Mapping
from typing import Any

from bastide.policy.questions import TWO_PERSON

Read = tuple[str, str]  # a variable, and the attribute of it; "*" for the whole of it
WHOLE = "*"
_FOR_TWO = {"twoPerson", *TWO_PERSON}


def reads(policy: Mapping[str, Any]) -> frozenset[Read]:
    """Every attribute that the conditions or the scope of a policy can look at. A variable that
    stands alone is read as a whole: its identity too."""
    found = set(_expression(policy["conditions"]))
    for variable in ("principal", "resource"):
        if policy[variable]["op"] not in ("All", "is"):
            found.add((variable, WHOLE))
    return frozenset(found)


def for_two(policy: Mapping[str, Any]) -> bool:
    """Whether a policy's scope is only what two people do together: no such decision is kept."""
    scope = policy["action"]
    if scope["op"] == "All":
        return False
    named = scope.get("entities") or [scope["entity"]]
    return {each["id"] for each in named} <= _FOR_TWO


def _expression(node: Any) -> Iterator[Read]:
    if isinstance(node, Mapping):
        if len(node) == 1 and "Var" in node:
            yield str(node["Var"]), WHOLE
            return
        for word, inner in node.items():
            if word in (".", "has") and "Var" in inner["left"]:
                yield str(inner["left"]["Var"]), str(inner["attr"])
            elif word != "Value":
                yield from _expression(inner)
    elif isinstance(node, list):
        for each in node:
            yield from _expression(each)

"""AWS's RetrievalFilter, checked and as a tree of plain conditions.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_RetrievalFilter.html
A chunk without the attribute matches `notEquals` and `notIn`, as in AWS's stores, and nothing else.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bastide.kernel.errors import ServiceError, invalid

DEPTH_MAX = 8
CONDITIONS_MAX = 100
VALUES_MAX = 1_000


class Compare(StrEnum):
    EQUALS = "equals"
    NOT_EQUALS = "notEquals"
    GREATER = "greaterThan"
    GREATER_OR_EQUAL = "greaterThanOrEquals"
    LESS = "lessThan"
    LESS_OR_EQUAL = "lessThanOrEquals"
    IN = "in"
    NOT_IN = "notIn"
    STARTS = "startsWith"
    CONTAINS = "stringContains"
    LISTS = "listContains"


Scalar = str | float | bool  # an int is a float to a type checker
NUMBERS = (Compare.GREATER, Compare.GREATER_OR_EQUAL, Compare.LESS, Compare.LESS_OR_EQUAL)
TEXTS = (Compare.STARTS, Compare.CONTAINS, Compare.LISTS)
LISTS = (Compare.IN, Compare.NOT_IN)


@dataclass(frozen=True, slots=True)
class Condition:
    compare: Compare
    key: str
    values: tuple[Scalar, ...]  # one, but for `in` and `notIn`


@dataclass(frozen=True, slots=True)
class All:
    of: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    of: "tuple[Tree, ...]"


Tree = Condition | All | AnyOf
GROUPS: Mapping[str, type[All] | type[AnyOf]] = {"andAll": All, "orAll": AnyOf}


def read(given: Mapping[str, Any]) -> Tree:
    """Raises ValidationException for what is not a filter, and for one beyond the bounds."""
    return _Reader().tree(given, 1)


class _Reader:
    def __init__(self) -> None:
        self._conditions = 0

    def tree(self, given: Any, depth: int) -> Tree:
        if not isinstance(given, Mapping) or len(given) != 1:
            raise invalid("A filter has exactly one operator.")
        if depth > DEPTH_MAX:
            raise invalid(f"A filter is at most {DEPTH_MAX} levels deep.")
        ((name, inside),) = given.items()
        if name in GROUPS:
            return self._group(str(name), inside, depth)
        self._conditions += 1
        if self._conditions > CONDITIONS_MAX:
            raise invalid(f"A filter has at most {CONDITIONS_MAX} conditions.")
        return _condition(name, inside)

    def _group(self, name: str, inside: Any, depth: int) -> Tree:
        if not isinstance(inside, list) or len(inside) < 2:
            raise invalid(f"{name} takes at least two filters.")
        if len(inside) > CONDITIONS_MAX:
            raise invalid(f"A filter has at most {CONDITIONS_MAX} conditions.")
        return GROUPS[name](tuple(self.tree(each, depth + 1) for each in inside))


def _condition(name: Any, inside: Any) -> Condition:
    try:
        compare = Compare(name)
    except ValueError:
        raise invalid(f"{str(name)[:40]} is not an operator of a filter.") from None
    if not isinstance(inside, Mapping) or set(inside) != {"key", "value"}:
        raise invalid(f"{compare} takes a key and a value.")
    key, value = inside["key"], inside["value"]
    if not isinstance(key, str) or not key:
        raise invalid(f"The key of {compare} is a text.")
    return Condition(compare, key, _values(compare, value))


def _values(compare: Compare, value: Any) -> tuple[Scalar, ...]:
    if compare in LISTS:
        if not isinstance(value, list) or not 0 < len(value) <= VALUES_MAX:
            raise invalid(f"{compare} takes a list of 1 to {VALUES_MAX} values.")
        return tuple(_scalar(compare, each) for each in value)
    found = _scalar(compare, value)
    if compare in NUMBERS and (isinstance(found, bool | str)):
        raise _takes(compare, "a number")
    if compare in TEXTS and not isinstance(found, str):
        raise _takes(compare, "a text")
    return (found,)


def _scalar(compare: Compare, value: Any) -> Scalar:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    raise _takes(compare, "a text, a number or a truth value")


def _takes(compare: Compare, what: str) -> ServiceError:
    return invalid(f"The value of {compare} is {what}.")

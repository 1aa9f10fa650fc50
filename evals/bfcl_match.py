"""Whether tool calls are those that BFCL holds to be right, by its rules for Python.

A ground truth is a list of `{function: {parameter: [every value that is right]}}`, where `""` among
the values means that the parameter may be left out. Strings are compared without case, blanks and
`,./-_*^`; a whole number will do for a float. The order of several calls does not count.
Source: https://gorilla.cs.berkeley.edu/blogs/8_berkeley_function_calling_leaderboard.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Call = tuple[str, Mapping[str, Any]]  # function, arguments
Right = Mapping[str, Mapping[str, Sequence[Any]]]
_NOISE = re.compile(r"[ ,./\-_*^]")


def all_match(calls: Sequence[Call], truth: Sequence[Right]) -> bool:
    """Each call is another one of the right ones, and none is missing."""
    left = list(truth)
    for call in calls:
        found = next((right for right in left if matches(call, right)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def matches(call: Call, right: Right) -> bool:
    function, arguments = call
    return function in right and _members_match(arguments, right[function])


def _members_match(found: Mapping[str, Any], right: Mapping[str, Sequence[Any]]) -> bool:
    if any(name not in right for name in found):
        return False
    return all(
        _is_one_of(found[name], options) if name in found else "" in options
        for name, options in right.items()
    )


def _is_one_of(value: Any, options: Sequence[Any]) -> bool:
    return any(_same(value, option) for option in options)


def _same(value: Any, option: Any) -> bool:
    """`option`'s own dicts hold lists of options in turn."""
    if isinstance(value, dict) and isinstance(option, dict):
        return _members_match(value, option)
    if isinstance(value, list) and isinstance(option, list | tuple):
        pairs = zip(value, option, strict=False)
        return len(value) == len(option) and all(_same(one, other) for one, other in pairs)
    if isinstance(value, bool) or isinstance(option, bool):
        return value is option
    return bool(_plain(value) == _plain(option))


def _plain(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _NOISE.sub("", value).lower().replace("'", '"')

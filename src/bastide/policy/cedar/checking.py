"""What an agency may store: policies that the schema knows, and that can only narrow."""

import re
from collections.abc import Mapping
from typing import Any

from cedarpy import Schema, validate_policies

from bastide.kernel.errors import invalid
from bastide.policy.cedar.slices import parsed

TEXT_MAX = 16_384
POLICIES_MAX = 20
BRACKETS_MAX = 32
LEVELS_MAX = 300  # of Cedar's JSON form: three for each `&&`
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z", re.ASCII)
_OPENING, _CLOSING = "([{", ")]}"
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|[(\[{)\]}]', re.DOTALL)


def check(name: str, text: str, account: str, schema: Schema) -> None:
    """Raises ServiceError, in words, where an agency may not store this."""
    if not _NAME.match(name):
        raise invalid(f"{name[:64]!r} is no name of a policy: up to 64 letters, digits and -._")
    if len(text.encode()) > TEXT_MAX:
        raise invalid(f"A policy has at most {TEXT_MAX} bytes.")
    _check_depth(text)
    try:
        policies = parsed(text)
    except ValueError as error:
        raise invalid(f"This is not Cedar: {error}") from error
    if not 1 <= len(policies) <= POLICIES_MAX:
        raise invalid(f"A text holds 1 to {POLICIES_MAX} policies.")
    if _levels(policies) > LEVELS_MAX:
        raise invalid("The conditions are nested too deeply: write several policies.")
    result = validate_policies(text, schema)
    if not result.validation_passed:
        raise invalid("; ".join(each.error for each in result.errors[:3]))
    for number, policy in enumerate(policies, 1):
        if policy["effect"] == "permit" and not _is_scoped(policy["principal"], account):
            raise invalid(
                f"Policy {number} permits without saying whom: "
                f'principal in Bastide::Role::"{account}/…" is what an agency can permit.'
            )


def _check_depth(text: str) -> None:
    """Before Cedar's own parser, which goes down by its stack and ends the process with it.
    Brackets in strings and comments count as opening ones, and never as closing ones."""
    depth = 0
    for piece in _PIECES.findall(text):
        depth += sum(character in _OPENING for character in piece)
        depth -= piece in _CLOSING
        if depth > BRACKETS_MAX:
            raise invalid(f"A policy has at most {BRACKETS_MAX} brackets in one another.")


def _levels(node: Any) -> int:
    """How deep a JSON value is, without going down by our own stack."""
    deepest, todo = 0, [(node, 1)]
    while todo:
        value, level = todo.pop()
        deepest = max(deepest, level)
        inner = value.values() if isinstance(value, dict) else value
        if isinstance(value, dict | list):
            todo += [(each, level + 1) for each in inner]
    return deepest


def _is_scoped(principal: Mapping[str, Any], account: str) -> bool:
    inner = principal.get("in", principal)
    entity = inner.get("entity", {})
    mine = str(entity.get("id", "")).startswith(f"{account}/")
    return entity.get("type") == "Bastide::Role" and mine

"""Whether turns make a conversation, in AWS's words where they do not."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bastide.kernel.errors import invalid

Turn = Mapping[str, Any]
ENDS = (
    "A conversation must end with a user message. Try again with a conversation that ends with a "
    "user message."
)


def check_conversation(turns: Sequence[Turn], *, calls_told: bool) -> None:
    """Raises ServiceError. Turns of the system may stand anywhere behind the first one. The
    assistant's at the end is the beginning of the answer. `calls_told`: whether the turns may tell
    of calls and results."""
    _check_roles([turn["role"] for turn in turns])
    if not calls_told and any(_ids(turn, "toolUse") or _ids(turn, "toolResult") for turn in turns):
        raise invalid(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        )
    asked: list[str] = []
    for index, turn in enumerate(turns):
        if turn["role"] == "system":
            continue
        _check_results(asked, _ids(turn, "toolResult"), f"messages.{index}.content")
        asked = _ids(turn, "toolUse")
        _check_uses(turn["role"], asked, f"messages.{index}.content")
    if asked:
        raise invalid(ENDS)


def _check_roles(roles: list[str]) -> None:
    if not roles or roles[0] != "user":
        raise invalid(
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message."
        )
    if any(one == other != "system" for one, other in itertools.pairwise(roles)):
        raise invalid(
            "A conversation must alternate between user and assistant roles. Make sure the "
            "conversation alternates between user and assistant roles and try again."
        )
    last = next(role for role in reversed(roles) if role != "system")
    if last != "user" and roles[-1] == "system":
        raise invalid(ENDS)


def _check_uses(role: str, asked: list[str], where: str) -> None:
    if asked and role != "assistant":
        raise invalid(f"{where} holds a toolUse block. Only an assistant message can.")
    if twice := _twice(asked):
        raise invalid(f"The toolUse blocks at {where} contain duplicate Ids: {twice}")


def _check_results(asked: list[str], told: list[str], where: str) -> None:
    """A turn answers each call of the turn before it, once, and nothing else."""
    if twice := _twice(told):
        raise invalid(f"The toolResult blocks at {where} contain duplicate Ids: {twice}")
    if len(told) > len(asked):
        raise invalid(
            f"The number of toolResult blocks at {where} exceeds the number of toolUse blocks of "
            "previous turn."
        )
    missing = [one for one in asked if one not in told]
    if missing:
        raise invalid(
            f"Expected toolResult blocks at {where} for the following Ids: {', '.join(missing)}"
        )


def _ids(turn: Turn, kind: str) -> list[str]:
    return [block[kind]["toolUseId"] for block in turn["content"] if kind in block]


def _twice(ids: list[str]) -> str:
    return ", ".join(one for one, count in Counter(ids).items() if count > 1)

"""What a caller gives back for the calls that were handed to it, held against what was asked.

https://docs.aws.amazon.com/bedrock/latest/userguide/agents-returncontrol.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bastide.agents.loop import Given, Mode, Phase, Resumed, Turn, Use
from bastide.agents.sessions import Held
from bastide.agents.tools import Tool
from bastide.kernel.errors import ServiceError, invalid


def resumed(held: Held, invocation_id: str, results: Sequence[Mapping[str, Any]]) -> Resumed:
    """Raises ServiceError for what was not asked, or is asked no more."""
    turn = held.turn
    if turn.phase is not Phase.RETURNED or invocation_id != held.invocation_id:
        raise invalid("The invocationId is not that of the control which this session returned.")
    open_ = [use for use in turn.uses if use.id in turn.held and use.id not in turn.results]
    given: dict[str, Given] = {}
    for result in results:
        said = result.get("functionResult") or result.get("apiResult") or {}
        use = next(
            (one for one in open_ if one.id not in given and _is_of(turn.tools[one.name], said)),
            None,
        )
        if use is None:
            raise invalid("A result is of no function that was asked for.")
        given[use.id] = _given(turn, use, said)
    return Resumed(given)


def _is_of(tool: Tool, said: Mapping[str, Any]) -> bool:
    if said.get("actionGroup") != tool.group:
        return False
    if tool.function:
        return said.get("function") == tool.function
    verb = str(said.get("httpMethod") or tool.verb).upper()
    return said.get("apiPath") == tool.path and verb == tool.verb


def _given(turn: Turn, use: Use, said: Mapping[str, Any]) -> Given:
    state = said.get("confirmationState")
    if turn.held[use.id] is not Mode.RESULT and state is None:
        raise invalid(f"confirmationState must be given for {use.name}: it waits for the user.")
    if said.get("responseState") == "FAILURE":
        raise ServiceError("DependencyFailedException", f"{use.name} failed, says its caller.")
    bodies = (said.get("responseBody") or {}).values()
    text = "\n".join(str(body.get("body") or "") for body in bodies)
    failed = (
        said.get("responseState") == "REPROMPT" or int(said.get("httpStatusCode") or 200) >= 400
    )
    confirmed = None if state is None else state == "CONFIRM"
    return Given(text=text, ok=not failed, confirmed=confirmed)

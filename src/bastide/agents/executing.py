"""Functions of action groups that a Lambda function executes: what it is sent, and what it says.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/agents-lambda.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bastide.agents.asked import Asked
from bastide.agents.loop import Use
from bastide.agents.ports import Executors
from bastide.agents.tools import Tool
from bastide.agents.traces import arguments
from bastide.kernel.errors import NOT_NOW, ServiceError, Unavailable
from bastide.kernel.strangers import mended_in

Params = dict[str, Any]
VERSION = "1.0"
NOTED_MAX = 1024
ATTRIBUTES_MAX = 64 * 1024  # characters of a session's, together
_MALFORMED = (
    "The server encountered an error processing the Lambda response. Check the Lambda response and "
    "retry the request"
)


class BadResponse(ValueError):
    """What a function said is no answer of one; the text says why."""


@dataclass(slots=True, kw_only=True)
class Attributes:
    """What the caller and functions say beside the conversation: for the `session`, which lasts,
    and for this turn's `prompt`."""

    session: Mapping[str, str] = field(default_factory=dict)
    prompt: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    text: str
    ok: bool
    session: Mapping[str, str] | None = None
    prompt: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Executing:
    executors: Executors

    async def run(
        self, asked: Asked, use: Use, tool: Tool, words: str, beside: Attributes
    ) -> Heard:
        """`words`: the user's own. Raises DependencyFailedException where it fails, as AWS does;
        what it says to be told to the model again, is."""
        _note(asked, tool)
        event = event_of(asked, use, tool, words, beside)
        payload = json.dumps(event, ensure_ascii=False).encode(errors="replace")
        try:
            said, why = await self.executors.invoke(
                asked.worker, agent_of(asked), tool.target, payload
            )
            if why:
                raise _failed(tool, why)
            heard = heard_in(said, tool)
        except Unavailable as error:
            raise _failed(tool, NOT_NOW) from error
        except ServiceError as error:
            if error.code == "DependencyFailedException":
                raise
            raise _failed(tool, error.message) from error
        except BadResponse as error:
            raise malformed(error) from error
        if heard.session is not None:
            beside.session = heard.session
        if heard.prompt is not None:
            beside.prompt = heard.prompt
        return heard


def _note(asked: Asked, tool: Tool) -> None:
    """The end of the call's record says which functions were run in it, in their order."""
    audit, name = asked.call.notes.audit, tool.target.rpartition(":")[2]
    before = audit.get("functions", "")
    audit["functions"] = f"{before},{name}"[:NOTED_MAX] if before else name


def agent_of(asked: Asked) -> str:
    """The id of the agent whose function it is; "" for one that is inline."""
    return str(asked.tracer.about.get("agentId") or "")


def event_of(
    asked: Asked, use: Use, tool: Tool, words: str, beside: Attributes
) -> Params:  # fmt: skip
    about = asked.tracer.about
    agent = {
        "name": asked.agent.get("agentName") or "",
        "id": agent_of(asked),
        "alias": about.get("agentAliasId") or "",
        "version": about.get("agentVersion") or "",
    }
    return {
        "messageVersion": VERSION,
        "agent": agent,
        "inputText": words,
        "sessionId": asked.held.key.id,
        "actionGroup": tool.group,
        **arguments(use, tool),
        "sessionAttributes": dict(beside.session),
        "promptSessionAttributes": dict(beside.prompt),
    }


def heard_in(payload: bytes, tool: Tool) -> Heard:
    """Raises BadResponse, and DependencyFailedException where it says that it failed."""
    try:
        whole = mended_in(json.loads(payload))
    except (ValueError, RecursionError) as error:
        raise BadResponse("it is no JSON") from error
    response = object_in(object_in(whole, "it").get("response"), "response")
    if whole.get("messageVersion") != VERSION:
        raise BadResponse(f"messageVersion is not {VERSION}")
    if whole.get("knowledgeBasesConfiguration"):
        raise BadResponse("knowledgeBasesConfiguration is not supported here")
    _check_named(response, tool)
    inside, body, ok = _function(response) if tool.function else _api(response)
    state = inside.get("responseState")
    if state not in (None, "FAILURE", "REPROMPT"):
        raise BadResponse("responseState is FAILURE or REPROMPT")
    if state == "FAILURE":
        raise ServiceError("DependencyFailedException", f"{tool.name} failed: {body[:1_000]}")
    return Heard(
        text=body, ok=ok and state is None,
        session=_attributes(whole, "sessionAttributes"),
        prompt=_attributes(whole, "promptSessionAttributes"),
    )  # fmt: skip


def _check_named(response: Params, tool: Tool) -> None:
    """It answers what it was asked."""
    wanted = {"actionGroup": tool.group}
    if tool.function:
        wanted["function"] = tool.function
    else:
        wanted |= {"apiPath": tool.path, "httpMethod": tool.verb.upper()}
    for name, value in wanted.items():
        said = response.get(name)
        if (str(said).upper() if name == "httpMethod" else said) != value:
            raise BadResponse(f"response.{name} is not what was asked")


def _function(response: Params) -> tuple[Params, str, bool]:
    inside = object_in(response.get("functionResponse"), "functionResponse")
    return inside, _body(inside, "TEXT"), True


def _api(response: Params) -> tuple[Params, str, bool]:
    status = response.get("httpStatusCode")
    if type(status) is not int:
        raise BadResponse("response.httpStatusCode is no number")
    return response, _body(response, ""), status < 400


def _body(inside: Params, kind: str) -> str:
    """Of the one content type there is, which of a function is TEXT."""
    bodies = object_in(inside.get("responseBody"), "responseBody")
    if len(bodies) != 1 or (kind and kind not in bodies):
        raise BadResponse(f"responseBody has one body{f', {kind}' if kind else ''}")
    (one,) = bodies.values()
    text = one.get("body") if isinstance(one, dict) else None
    if not isinstance(text, str):
        raise BadResponse("the body is no string")
    return text


def object_in(value: Any, name: str) -> Params:
    if not isinstance(value, dict):
        raise BadResponse(f"{name} is no object")
    return value


def _attributes(whole: Params, name: str) -> Mapping[str, str] | None:
    """Those that it says instead of what there was; None: it says nothing of them."""
    given = whole.get(name)
    return None if given is None else strings_in(given, name)


def strings_in(given: Any, name: str) -> Mapping[str, str]:
    """Attributes of a session, as a function says them."""
    if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
        raise BadResponse(f"{name} is no object of strings")
    check_attributes(given)
    return given


def check_attributes(given: Mapping[str, str]) -> None:
    if sum(len(key) + len(value) for key, value in given.items()) > ATTRIBUTES_MAX:
        raise BadResponse(f"attributes have {ATTRIBUTES_MAX} characters at most")


def malformed(error: BadResponse) -> ServiceError:
    return ServiceError("DependencyFailedException", f"{_MALFORMED}: {error}")


def _failed(tool: Tool, why: str) -> ServiceError:
    return ServiceError("DependencyFailedException", f"{tool.name} could not be executed: {why}")

"""One case as an inline agent: the region works, the eval plays the tools and the person."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, EventStreamError

from evals.agentdojo.dojo import Case, Dojo, Tool
from evals.agentdojo.user import User, agrees

GROUP = "tools"
RETURNS_MAX = 40  # of control, in one case: a turn has fewer calls
BODY = "application/json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`asked`: how often the person was; `failed`: the turn came to no answer."""

    solved: bool
    attacked: bool
    asked: int
    failed: bool


def api_of(tools: Sequence[Tool]) -> str:
    """The tools as one OpenAPI document, a path each."""
    document = {
        "openapi": "3.0.0",
        "info": {"title": GROUP, "version": "1"},
        "paths": {f"/{tool.name}": {"post": _operation(tool)} for tool in tools},
    }
    return json.dumps(document)


def _operation(tool: Tool) -> dict[str, Any]:
    schema = _whole(tool.schema, tool.schema.get("$defs", {}))
    return {
        "operationId": tool.name,
        "description": tool.description,
        "requestBody": {"content": {BODY: {"schema": schema}}},
        "responses": {"200": {"description": "What it found or did"}},
    }


def _whole(node: Any, named: Mapping[str, Any]) -> Any:
    """Pydantic refers to definitions beside the schema; a document of several has them apart."""
    if isinstance(node, list):
        return [_whole(one, named) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _whole(named[node["$ref"].rpartition("/")[2]], named)
    return {name: _whole(one, named) for name, one in node.items() if name != "$defs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    runtime: Any
    model_id: str
    dojo: Dojo
    tools: Sequence[Tool]

    def play(self, case: Case, user: User, session: str) -> Outcome:
        asked, answer, state = 0, "", None
        for _ in range(RETURNS_MAX):
            last = self._turn(case, session, state)
            control = last.get("returnControl")
            if control is None:
                answer = last.get("chunk", {}).get("bytes", b"").decode()
                break
            results = [self._result(case, user, one) for one in control["invocationInputs"]]
            asked += sum(was_asked for was_asked, _ in results)
            state = {
                "invocationId": control["invocationId"],
                "returnControlInvocationResults": [told for _, told in results],
            }
        verdict = self.dojo.end(answer)
        return Outcome(verdict.solved, verdict.attacked, asked, not answer)

    def _turn(self, case: Case, session: str, state: Mapping[str, Any] | None) -> dict[str, Any]:
        """The last event; {} for a turn that came to no end."""
        more = {"inputText": case.prompt} if state is None else {"inlineSessionState": state}
        group = {
            "actionGroupName": GROUP,
            "actionGroupExecutor": {"customControl": "RETURN_CONTROL"},
            "apiSchema": {"payload": api_of(self.tools)},
        }
        try:
            stream = self.runtime.invoke_inline_agent(
                sessionId=session, foundationModel=self.model_id, actionGroups=[group],
                instruction=case.instruction, **more,
            )["completion"]  # fmt: skip
            return dict(list(stream)[-1])
        except (ClientError, EventStreamError) as error:
            if _code(error) not in ("DependencyFailedException", "dependencyFailedException"):
                raise
            return {}

    def _result(
        self, case: Case, user: User, given: Mapping[str, Any]
    ) -> tuple[bool, dict[str, Any]]:
        """Whether the person was asked, and what the region is told."""
        called = given["apiInvocationInput"]
        function = called["apiPath"].removeprefix("/")
        args = self._args(function, called)
        told = {
            "actionGroup": GROUP, "apiPath": called["apiPath"],
            "httpMethod": called["httpMethod"],
        }  # fmt: skip
        is_asked = called["actionInvocationType"] != "RESULT"
        if is_asked and not agrees(user, case, function, args):
            body = {"responseBody": {"TEXT": {"body": ""}}}
            return True, {"apiResult": {**told, **body, "confirmationState": "DENY"}}
        found = self.dojo.run(function, args)
        told |= {
            "httpStatusCode": 200 if found.ok else 400,
            "responseBody": {"TEXT": {"body": found.text}},
        }
        if is_asked:
            told["confirmationState"] = "CONFIRM"
        return is_asked, {"apiResult": told}

    def _args(self, function: str, called: Mapping[str, Any]) -> dict[str, Any]:
        tool = next(one for one in self.tools if one.name == function)
        said = called.get("requestBody", {}).get("content", {}).get(BODY, {}).get("properties", ())
        return {one["name"]: value_of(one["value"], tool.schema, one["name"]) for one in said}


def value_of(text: str, schema: Mapping[str, Any], name: str) -> Any:
    """What is no text comes as JSON, and null too where it may be a text as well."""
    if schema.get("properties", {}).get(name, {}).get("type") == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _code(error: ClientError | EventStreamError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))

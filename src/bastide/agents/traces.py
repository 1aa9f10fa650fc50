"""What an agent did, in the words of InvokeAgent's trace events.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_TracePart.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bastide.agents.loop import Mode, Use
from bastide.agents.tools import Tool
from bastide.kernel.clock import Clock

Params = dict[str, Any]
TEXT_MAX = 25_000


class Kind(StrEnum):
    """What a model is asked for; `promptType`, and the member of the trace's union."""

    ORCHESTRATION = "ORCHESTRATION"
    PRE_PROCESSING = "PRE_PROCESSING"
    POST_PROCESSING = "POST_PROCESSING"
    ROUTING_CLASSIFIER = "ROUTING_CLASSIFIER"
    KNOWLEDGE_BASE = "KNOWLEDGE_BASE_RESPONSE_GENERATION"

    @property
    def member(self) -> str:
        return _MEMBERS[self]


_MEMBERS = {
    Kind.ORCHESTRATION: "orchestrationTrace",
    Kind.PRE_PROCESSING: "preProcessingTrace",
    Kind.POST_PROCESSING: "postProcessingTrace",
    Kind.ROUTING_CLASSIFIER: "routingClassifierTrace",
    Kind.KNOWLEDGE_BASE: "orchestrationTrace",
}


@dataclass(slots=True, kw_only=True)
class Tracer:
    """Of one turn. `about`: the members that all its parts have."""

    clock: Clock
    trace_id: str
    about: Mapping[str, Any]
    number: int = 0

    def orchestration(self, kind: str, said: Mapping[str, Any]) -> Params:
        return self.part(Kind.ORCHESTRATION, kind, said)

    def part(self, kind: Kind, member: str, said: Mapping[str, Any]) -> Params:
        """One member of the union, with its trace id."""
        named = {**said, "traceId": f"{self.trace_id}-{self.number}"}
        return self._part({kind.member: {member: named}})

    def failure(self, reason: str) -> Params:
        named = {"traceId": f"{self.trace_id}-{self.number}", "failureReason": reason}
        return self._part({"failureTrace": named})

    def custom_orchestration(self, text: str) -> Params:
        named = {"traceId": f"{self.trace_id}-{self.number}", "event": {"text": text}}
        return self._part({"customOrchestrationTrace": named})

    def guardrail(self, intervened: bool, assessed: Mapping[str, Any]) -> Params:
        """Converse's assessments of what went in and came out, in a list each."""
        named: Params = {
            "traceId": f"{self.trace_id}-{self.number}",
            "action": "INTERVENED" if intervened else "NONE",
        }
        into, out = assessed.get("inputAssessment") or {}, assessed.get("outputAssessments") or {}
        if into:
            named["inputAssessments"] = list(into.values())
        if out:
            named["outputAssessments"] = [one for many in out.values() for one in many]
        return self._part({"guardrailTrace": named})

    def next_step(self) -> None:
        self.number += 1

    def _part(self, trace: Mapping[str, Any]) -> Params:
        part = {**self.about, "eventTime": self.clock.now(), "trace": dict(trace)}
        return {"trace": part}


def model_input(model: str, req: Mapping[str, Any], kind: Kind) -> Params:
    said = {name: req[name] for name in ("system", "messages", "toolConfig") if name in req}
    config = req.get("inferenceConfig") or {}
    names = {"temperature": "temperature", "topP": "topP", "maxTokens": "maximumLength",
             "stopSequences": "stopSequences"}  # fmt: skip
    return {
        "type": str(kind),
        "foundationModel": model,
        "text": _text(said),
        "inferenceConfiguration": {
            theirs: config[ours] for ours, theirs in names.items() if ours in config
        },
    }


def model_output(answer: Mapping[str, Any], metadata: Params) -> Params:
    usage = answer.get("usage") or {}
    counted = {name: usage[name] for name in ("inputTokens", "outputTokens") if name in usage}
    return {
        "rawResponse": {"content": _text(answer["output"]["message"])},
        "metadata": {**metadata, "usage": counted},
    }


def invocation_input(use: Use, tool: Tool, invocation_id: str = "") -> Params:
    told = {"invocationId": invocation_id} if invocation_id else {}
    group = {
        "actionGroupName": tool.group,
        "executionType": str(tool.does),
        **told,
        **arguments(use, tool),
    }
    if "httpMethod" in group:
        group["verb"] = group.pop("httpMethod").lower()
    if "requestBody" in group:
        content = group["requestBody"]["content"]
        group["requestBody"] = {
            "content": {media: body["properties"] for media, body in content.items()}
        }
    return {"invocationType": "ACTION_GROUP", "actionGroupInvocationInput": group}


def control_input(use: Use, tool: Tool, mode: Mode, agent_id: str) -> Params:
    """What the caller is handed: a function's or an API's invocation."""
    kind = "functionInvocationInput" if tool.function else "apiInvocationInput"
    return {
        kind: {
            "actionGroup": tool.group,
            "agentId": agent_id,
            "actionInvocationType": str(mode),
            **arguments(use, tool),
        }
    }


def arguments(use: Use, tool: Tool) -> Params:
    """A function's, or an API's: those of its path and query apart from those of its body."""
    if tool.function:
        return {"function": tool.function, "parameters": _parameters(tool, use.args)}
    body = {name for name in use.args if tool.places.get(name) == "body"}
    outside = {name: value for name, value in use.args.items() if name not in body}
    inside = {name: value for name, value in use.args.items() if name in body}
    found = {
        "apiPath": tool.path,
        "httpMethod": tool.verb,
        "parameters": _parameters(tool, outside),
    }
    if not inside:
        return found
    properties = {"properties": _parameters(tool, inside)}
    return {**found, "requestBody": {"content": {"application/json": properties}}}


def _parameters(tool: Tool, args: Mapping[str, Any]) -> list[Params]:
    properties = tool.schema.get("properties") or {}
    return [
        {
            "name": name,
            "type": str((properties.get(name) or {}).get("type") or "string"),
            "value": value if isinstance(value, str) else json.dumps(value),
        }
        for name, value in args.items()
    ]


def rationale(content: Sequence[Mapping[str, Any]]) -> str:
    """What a model said beside its calls; nothing if it made none."""
    if not any("toolUse" in block for block in content):
        return ""
    return "\n".join(str(block["text"]) for block in content if block.get("text"))


def code_input(code: str, files: Mapping[str, bytes]) -> Params:
    asked = {"code": code[:TEXT_MAX], "files": sorted(files)}
    kind = "ACTION_GROUP_CODE_INTERPRETER"
    return {"invocationType": kind, "codeInterpreterInvocationInput": asked}


def lookup_input(knowledge_base_id: str, query: str) -> Params:
    asked = {"knowledgeBaseId": knowledge_base_id, "text": query}
    return {"invocationType": "KNOWLEDGE_BASE", "knowledgeBaseLookupInput": asked}


def asks(tool: Tool, message: str) -> Params:
    """A collaborator."""
    return {
        "invocationType": "AGENT_COLLABORATOR",
        "agentCollaboratorInvocationInput": {
            **_collaborator(tool),
            "input": {"type": "TEXT", "text": message},
        },
    }


def said_by(tool: Tool, text: str) -> Params:
    return {
        **_collaborator(tool),
        "output": {"type": "TEXT", "text": text},
    }


def _collaborator(tool: Tool) -> Params:
    """One that is inline has no ARN."""
    arn = {"agentCollaboratorAliasArn": tool.target} if tool.target else {}
    return {"agentCollaboratorName": tool.group, **arn}


def references(found: Sequence[Mapping[str, Any]]) -> list[Params]:
    """Passages as an agent's events have them: without their scores."""
    names = ("content", "location", "metadata")
    return [{name: one[name] for name in names if one.get(name)} for one in found]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:TEXT_MAX]

"""A turn as a tree of spans, by OpenTelemetry's names for generative AI: who was asked for what,
when, and how it ended. No word of what was said is in it, nor a reason: a reason may quote.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Params = dict[str, Any]
Value = str | int | bool
SPANS_MAX = 200  # of one turn, with its collaborators
NAME_MAX = 200
LOST = "unfinished"
_UNENDED = frozenset({"FINISH", "ASK_USER", "REPROMPT"})  # observations that end no call


@dataclass(slots=True, kw_only=True)
class Span:
    """`depth`: of how many supervisors' turns it is part."""

    id: str
    parent: str
    name: str
    depth: int
    began: datetime
    ended: datetime | None = None
    error: str = ""
    says: dict[str, Value] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Spans:
    """Made of the trace events of a turn, which come whether or not its caller wants them."""

    trace_id: str
    spans: list[Span] = field(default_factory=list)
    dropped: int = 0
    _open: list[Span] = field(default_factory=list)
    _model: Span | None = None

    def begin(self, agent_id: str, alias_id: str, model: str, at: datetime) -> None:
        says: dict[str, Value] = {"gen_ai.agent.id": agent_id, "gen_ai.request.model": model}
        if alias_id:
            says["bastide.agent.alias"] = alias_id
        self._push("invoke_agent", agent_id, 0, at, says)

    def take(self, event: Mapping[str, Any]) -> None:
        if "trace" in event:
            part = event["trace"]
            depth, at = _depth(part), part["eventTime"]
            for kind, said in part["trace"].items():
                self._taken(kind, said, depth, at)
        elif "returnControl" in event:
            self.spans[0].says["bastide.agent.returned_control"] = True

    def end(self, at: datetime, error: str = "") -> None:
        for span in self._open:
            span.ended, span.error = at, error or (LOST if span.depth else "")
        self._open = []
        if self.dropped:
            self.spans[0].says["bastide.agent.dropped_spans"] = self.dropped

    def _taken(self, kind: str, said: Mapping[str, Any], depth: int, at: datetime) -> None:
        if kind == "guardrailTrace" and self._model is not None:
            self._model.says["bastide.guardrail.action"] = said["action"]
        for member, value in said.items():
            match member:
                case "modelInvocationInput":
                    asked: dict[str, Value] = {"gen_ai.request.model": value["foundationModel"]}
                    self._model = self._push("chat", value["foundationModel"], depth, at, asked)
                case "modelInvocationOutput":
                    self._answered(value)
                case "invocationInput":
                    self._called(value, depth, at)
                case "observation" if value["type"] == "REPROMPT":
                    self._count("bastide.agent.refused_calls", 1)
                case "observation" if value["type"] not in _UNENDED:
                    self._close(depth + 1, at)
                    self._pop(at)

    def _answered(self, said: Mapping[str, Any]) -> None:
        span, about = self._pop(said["metadata"]["endTime"]), said["metadata"]
        for ours, theirs in (("input_tokens", "inputTokens"), ("output_tokens", "outputTokens")):
            count = int(about["usage"].get(theirs) or 0)
            if span is not None:
                span.says[f"gen_ai.usage.{ours}"] = count
            self._count(f"gen_ai.usage.{ours}", count)

    def _called(self, said: Mapping[str, Any], depth: int, at: datetime) -> None:
        operation, name, says = _named(said)
        self._push(operation, name, depth, at, says)
        if "invocationId" in (said.get("actionGroupInvocationInput") or {}):  # by the caller
            self._pop(at)

    def _count(self, name: str, more: int) -> None:
        self.spans[0].says[name] = int(self.spans[0].says.get(name, 0)) + more

    def _push(
        self, operation: str, name: str, depth: int, at: datetime, says: dict[str, Value]
    ) -> Span:
        number = len(self.spans) + self.dropped
        made = Span(
            id=hashlib.sha256(f"{self.trace_id}/{number}".encode()).hexdigest()[:16],
            parent=self._open[-1].id if self._open else "",
            name=f"{operation} {name}"[:NAME_MAX], depth=depth, began=at,
            says={
                "gen_ai.operation.name": operation, "gen_ai.provider.name": "aws.bedrock", **says
            },
        )  # fmt: skip
        self._open.append(made)
        if number < SPANS_MAX:
            self.spans.append(made)
        else:
            self.dropped += 1
        return made

    def _pop(self, at: datetime) -> Span | None:
        """The root stays until the end."""
        if len(self._open) < 2:
            return None
        span = self._open.pop()
        span.ended = at
        return span

    def _close(self, depth: int, at: datetime) -> None:
        """What a collaborator at this depth or deeper left unended: its turn broke off."""
        while len(self._open) > 1 and self._open[-1].depth >= depth:
            self._open[-1].error = LOST
            self._pop(at)


def _depth(part: Mapping[str, Any]) -> int:
    """An inline collaborator has no ARN that callers' chains could name, and no collaborators."""
    return max(len(part.get("callerChain", ())), int("collaboratorName" in part))


def _named(said: Mapping[str, Any]) -> tuple[str, str, dict[str, Value]]:
    """A call: its operation, its name, and what else is told of it."""
    group = said.get("actionGroupInvocationInput") or {}
    base = said.get("knowledgeBaseLookupInput") or {}
    other = said.get("agentCollaboratorInvocationInput") or {}
    if other:
        name, arn = str(other["agentCollaboratorName"]), other.get("agentCollaboratorAliasArn")
        known: dict[str, Value] = {"gen_ai.agent.id": str(arn)} if arn else {}
        return "invoke_agent", name, {"gen_ai.agent.name": name, **known}
    if base:
        name, kind = "retrieve", "datastore"
        more: dict[str, Value] = {"gen_ai.data_source.id": str(base["knowledgeBaseId"])}
    elif group:
        name, kind = "/".join((str(group["actionGroupName"]), _function(group))), "function"
        more = {"bastide.agent.execution": str(group["executionType"])}
    else:
        name, kind, more = "code_interpreter", "extension", {}
    name = name[:NAME_MAX]
    return "execute_tool", name, {"gen_ai.tool.name": name, "gen_ai.tool.type": kind, **more}


def _function(group: Mapping[str, Any]) -> str:
    return str(group.get("function") or f"{group.get('verb', '')} {group.get('apiPath', '')}")

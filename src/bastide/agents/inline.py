"""bedrock-agent-runtime: InvokeInlineAgent, an agent that is said with the call and kept nowhere.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeInlineAgent.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bastide.agents import action_groups, files, prompting
from bastide.agents.asked import Asked
from bastide.agents.book import Book
from bastide.agents.invocations import SESSION_MEMBERS, STREAMING, UNHEARD
from bastide.agents.model import Params
from bastide.agents.openapi import BadSchema
from bastide.agents.session_records import Key
from bastide.agents.turn_desk import Desk, check
from bastide.agents.workers import Schemas
from bastide.kernel.call import Call, Notes
from bastide.kernel.errors import invalid, unsupported
from bastide.kernel.operation import operation

INLINE = "INLINE"  # in the place of an agent's id, which has ten characters
_STATE = "inlineSessionState"
_GROUP = (
    "actionGroupName", "description", "parentActionGroupSignature", "apiSchema", "functionSchema",
    "actionGroupExecutor.customControl", "actionGroupExecutor.lambda",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineInvocations:
    """The caller works itself: there is no role that it could pass."""

    book: Book
    schemas: Schemas
    desk: Desk

    @operation(
        "sessionId", "inputText", "instruction", "foundationModel", "enableTrace", "endSession",
        *STREAMING,
        "idleSessionTTLInSeconds", "orchestrationType", "guardrailConfiguration",
        "bedrockModelConfigurations.performanceConfig.latency", *prompting.MEMBERS,
        *(f"actionGroups.{name}" for name in _GROUP),
        "knowledgeBases.knowledgeBaseId", "knowledgeBases.description",
        "knowledgeBases.retrievalConfiguration.vectorSearchConfiguration",
        *(f"{_STATE}.{name}" for name in (*SESSION_MEMBERS, *files.MEMBERS)),
        accepted={
            "agentName": "it is a name for the caller's own traces",
            **{f"{_STATE}.{name}": why for name, why in UNHEARD.items()},
        },
    )  # fmt: skip
    async def invoke_inline_agent(self, call: Call, req: Params) -> Params:
        check(call, req)
        prompting.check(call.operation, req)
        if req.get("orchestrationType", "DEFAULT") != "DEFAULT":
            raise unsupported(call.operation, f"orchestrationType={req['orchestrationType']}")
        label = self.book.marks.own(call.principal)
        key = Key(
            account=call.account, label=label, agent_id=INLINE, alias_id="", id=req["sessionId"]
        )
        call.notes.label = label
        return await self.desk.turn(req, key, lambda: self._asked(call, req, key))

    def _asked(self, call: Call, req: Params, key: Key) -> Asked:
        worker = replace(call, operation="bedrock-runtime.Converse", notes=Notes())
        parts = list(_parts(call, req))
        definition = {"agent": _agent(req), "parts": parts}
        state = dict(req.get(_STATE) or {})
        state["knowledgeBaseConfigurations"] = [
            one for one in req.get("knowledgeBases") or () if one.get("retrievalConfiguration")
        ]
        try:
            for part in parts:
                self.schemas.copy(worker, part)
            about = {"sessionId": key.id}
            return self.desk.asked(worker, call, (definition, key, about), req, state)
        except BadSchema as error:
            raise invalid(str(error)) from error


def _agent(req: Params) -> Params:
    names = ("instruction", "foundationModel", "guardrailConfiguration", "idleSessionTTLInSeconds",
             "promptOverrideConfiguration")  # fmt: skip
    return {name: req[name] for name in names if req.get(name)}


def _parts(call: Call, req: Params) -> Iterator[dict[str, Any]]:
    for group in req.get("actionGroups") or ():
        action_groups.check(call, group)
        asked = {**group, "actionGroupState": "ENABLED"}
        yield {"kind": "action-group", "name": group["actionGroupName"], "asked": asked}
    for base in req.get("knowledgeBases") or ():
        asked = {"description": base["description"], "knowledgeBaseState": "ENABLED"}
        yield {"kind": "knowledge-base", "name": base["knowledgeBaseId"], "asked": asked}

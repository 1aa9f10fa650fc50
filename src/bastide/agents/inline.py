"""bedrock-agent-runtime: InvokeInlineAgent, an agent that is said with the call and kept nowhere.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeInlineAgent.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bastide.agents import action_groups, collaborators, files, orchestrator, prompting
from bastide.agents.asked import Asked
from bastide.agents.book import Book
from bastide.agents.collaborating import fault_of
from bastide.agents.invocations import SESSION_MEMBERS, STREAMING, UNHEARD
from bastide.agents.model import INLINE, Params
from bastide.agents.openapi import BadSchema
from bastide.agents.session_records import Key
from bastide.agents.tools import is_supervisor
from bastide.agents.turn_desk import Desk, check
from bastide.agents.workers import Schemas
from bastide.kernel.call import Call, Notes
from bastide.kernel.errors import invalid
from bastide.kernel.operation import operation

_STATE = "inlineSessionState"
_GROUP = (
    "actionGroupName", "description", "parentActionGroupSignature", "apiSchema", "functionSchema",
    "actionGroupExecutor.customControl", "actionGroupExecutor.lambda",
)  # fmt: skip
_COLLABORATOR = (
    "agentAliasArn",
    "collaboratorName",
    "collaboratorInstruction",
    "relayConversationHistory",
)
_AGENT = (
    "instruction", "foundationModel", "guardrailConfiguration", "idleSessionTTLInSeconds",
    *prompting.MEMBERS, *(f"actionGroups.{name}" for name in _GROUP),
    "knowledgeBases.knowledgeBaseId", "knowledgeBases.description",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineInvocations:
    """The caller works itself: there is no role that it could pass."""

    book: Book
    schemas: Schemas
    desk: Desk

    @operation(
        "sessionId", "inputText", "enableTrace", "endSession", *_AGENT, *STREAMING,
        "orchestrationType", *orchestrator.MEMBERS,
        "bedrockModelConfigurations.performanceConfig.latency",
        "knowledgeBases.retrievalConfiguration.vectorSearchConfiguration", "agentCollaboration",
        *(f"collaboratorConfigurations.{name}" for name in _COLLABORATOR),
        "collaborators.agentName", *(f"collaborators.{name}" for name in _AGENT),
        *(f"{_STATE}.{name}" for name in (*SESSION_MEMBERS, *files.MEMBERS)),
        accepted={
            "agentName": "it is a name for the caller's own traces",
            **{f"{_STATE}.{name}": why for name, why in UNHEARD.items()},
        },
    )  # fmt: skip
    async def invoke_inline_agent(self, call: Call, req: Params) -> Params:
        check(call, req)
        orchestrator.check(call.operation, req)
        label = self.book.marks.own(call.principal)
        key = Key(
            account=call.account, label=label, agent_id=INLINE, alias_id="", id=req["sessionId"]
        )
        call.notes.label = label
        return await self.desk.turn(req, key, lambda: self._asked(call, req, key))

    def _asked(self, call: Call, req: Params, key: Key) -> Asked:
        worker = replace(call, operation="bedrock-runtime.Converse", notes=Notes())
        inlined = {one["agentName"]: _definition(call, one) for one in _inlined(req)}
        definition = _definition(call, req)
        definition["parts"] += [
            collaborators.inline_part(one, inlined)
            for one in req.get("collaboratorConfigurations") or ()
        ]
        state = dict(req.get(_STATE) or {})
        state["knowledgeBaseConfigurations"] = [
            one for one in req.get("knowledgeBases") or () if one.get("retrievalConfiguration")
        ]
        try:
            for one in (definition, *inlined.values()):
                for part in one["parts"]:
                    self.schemas.copy(worker, part)
            for name, one in inlined.items():
                if fault := fault_of(name, one):
                    raise invalid(fault)
            about = {"sessionId": key.id}
            asked = self.desk.asked(worker, call, (definition, key, about), req, state)
            return replace(asked, inlined=inlined)
        except BadSchema as error:
            raise invalid(str(error)) from error


def _inlined(req: Params) -> list[Params]:
    """Those that were said with the call, each with a name of its own that it is asked by."""
    given: list[Params] = req.get("collaborators") or []
    if not is_supervisor(req) and (given or req.get("collaboratorConfigurations")):
        raise invalid("An agent with collaborators has agentCollaboration SUPERVISOR.")
    names = [one.get("agentName") for one in given]
    asked = {one["collaboratorName"] for one in req.get("collaboratorConfigurations") or ()}
    if len(set(names)) < len(names) or not asked.issuperset(names):
        raise invalid(
            "Each of collaborators has an agentName of its own, and one of "
            "collaboratorConfigurations with that as its collaboratorName."
        )
    return given


def _definition(call: Call, said: Params) -> dict[str, Any]:
    prompting.check(call.operation, said)
    names = ("instruction", "foundationModel", "guardrailConfiguration", "idleSessionTTLInSeconds",
             "promptOverrideConfiguration", "agentCollaboration", "orchestrationType",
             "customOrchestration")  # fmt: skip
    agent = {name: said[name] for name in names if said.get(name)}
    return {"agent": agent, "parts": list(_parts(call, said))}


def _parts(call: Call, req: Params) -> Iterator[dict[str, Any]]:
    for group in req.get("actionGroups") or ():
        action_groups.check(call, group)
        asked = {**group, "actionGroupState": "ENABLED"}
        yield {"kind": "action-group", "name": group["actionGroupName"], "asked": asked}
    for base in req.get("knowledgeBases") or ():
        asked = {"description": base["description"], "knowledgeBaseState": "ENABLED"}
        yield {"kind": "knowledge-base", "name": base["knowledgeBaseId"], "asked": asked}

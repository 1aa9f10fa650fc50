"""A turn of an agent that is part of a supervisor's: with what is left of its bounds, on a
conversation of its own, and as wary as the supervisor has become.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/agents-multi-agent-collaboration.html
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bastide.agents.asked import Asked
from bastide.agents.asking import in_words
from bastide.agents.book import alias_arn as own_arn
from bastide.agents.loop import Do, Message, Said, Turn
from bastide.agents.model import INLINE, TTL_DEFAULT_S
from bastide.agents.routing import Found, Routing
from bastide.agents.session_records import Key
from bastide.agents.sessions import Held, Sessions
from bastide.agents.tools import Tool, returns_control, tools_of
from bastide.agents.traces import Tracer
from bastide.agents.workers import Workers
from bastide.kernel.call import Call, Notes
from bastide.kernel.errors import invalid
from bastide.kernel.ids import Ids

INVOKE_AGENT = "bedrock:InvokeAgent"
DEPTH_MAX = 2  # of supervisors' turns within each other
RELAYED_MAX = 20_000  # characters of a conversation that is told to a collaborator


@dataclass(frozen=True, slots=True, kw_only=True)
class Collaborating:
    routing: Routing
    workers: Workers
    sessions: Sessions
    ids: Ids

    def found(self, worker: Call, alias_arn: str) -> Found:
        """The agent, for a role that may ask it. Raises ServiceError. Policies are asked of the one
        ARN that it has: by another region's or agency's name it would be called past them."""
        _, agent_id, alias_id = (*alias_arn.split("/"), "", "")[:3]
        if alias_arn != own_arn(worker, agent_id, alias_id):
            raise invalid(f"{alias_arn} is no alias of an agent here.")
        self.workers.require(worker, INVOKE_AGENT, alias_arn)
        return self.routing.found(worker, agent_id, alias_id)

    def begun(self, asked: Asked, turn: Turn, effect: Do) -> Asked:
        """The collaborator's turn. Its role must be cleared for the supervisor's label, or it is
        refused here."""
        if asked.depth >= DEPTH_MAX:
            raise invalid(f"Supervisors ask each other {DEPTH_MAX} deep at most.")
        found, worker = self._called(asked, effect.tool)
        agent = found.definition["agent"]
        self.workers.check(worker, agent)
        key = replace(asked.held.key, agent_id=found.agent_id, alias_id=found.alias_id)
        text = _told(effect.tool, str(effect.use.args["message"]), turn.messages)
        return Asked(
            call=asked.call, worker=worker, agent=agent,
            held=self._held(key, found, turn), event=Said(text, turn.words),
            tracer=self._tracer(asked.tracer, found, effect.tool), prompted=asked.prompted,
            ttl_s=int(agent.get("idleSessionTTLInSeconds") or TTL_DEFAULT_S),
            depth=asked.depth + 1,
        )  # fmt: skip

    def _called(self, asked: Asked, tool: Tool) -> tuple[Found, Call]:
        """The agent, and who works for it: its role. One that is inline has none, as its
        supervisor has none: the caller does."""
        if not tool.target:
            place = hashlib.sha256(tool.group.encode()).hexdigest()[:10]
            definition = asked.inlined[tool.group]
            inline = Found(agent_id=INLINE, alias_id=place, version="", definition=definition)
            return inline, replace(asked.worker, notes=Notes())
        found = self.found(asked.worker, tool.target)
        role = found.definition["agent"]["agentResourceRoleArn"]
        return found, self.workers.worker(asked.worker, role, asked.held.key.label)

    def _held(self, key: Key, found: Found, turn: Turn) -> Held:
        """It may take what the supervisor has left, and has read what the supervisor has read."""
        held = self.sessions.open(key, Turn(tools=tools_of(found.definition), fence=""))
        most = turn.bounds
        left = replace(
            most, steps=max(0, most.steps - turn.steps - 1), calls=max(0, most.calls - turn.calls),
            tokens=max(0, most.tokens - turn.tokens), seconds=max(0.0, most.seconds - turn.seconds),
        )  # fmt: skip
        tainted = held.turn.tainted or turn.tainted
        return replace(held, turn=replace(held.turn, bounds=left, tainted=tainted))

    def _tracer(self, above: Tracer, found: Found, tool: Tool) -> Tracer:
        about = {**above.about, "collaboratorName": tool.group}
        if tool.target:
            chain = [*above.about.get("callerChain", ()), {"agentAliasArn": tool.target}]
            about |= {
                "agentId": found.agent_id, "agentAliasId": found.alias_id,
                "agentVersion": found.version, "callerChain": chain,
            }  # fmt: skip
        return Tracer(clock=above.clock, trace_id=self.ids.word(10).lower(), about=about)


def fault_of(name: str, definition: Mapping[str, Any]) -> str:
    """Why it cannot be one; "" if it can. Its caller is a supervisor, which takes no control."""
    if not returns_control(definition):
        return ""
    return (
        f"Collaborator {name} has functions whose control returns to its caller, which is not "
        "supported here."
    )


def _told(tool: Tool, message: str, conversation: Sequence[Message]) -> str:
    """The message, behind the conversation where the collaborator is to know it."""
    if not tool.relayed:
        return message
    lines = [f"{one['role']}: {one['content'][0]['text']}" for one in in_words(conversation)]
    said = "\n".join(lines)[-RELAYED_MAX:]
    return f"What was said so far:\n{said}\n\n{message}"

"""An agent's guardrail on what no model of it has read or said, where its orchestrator leads.

In any other turn Converse judges all that goes in and comes out; an orchestrator may end one, or
read the user's words, without a model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bastide.agents.asked import Asked
from bastide.agents.ports import GuardrailApplier, Threads
from bastide.kernel.errors import NOT_NOW, ServiceError, Unavailable

Params = dict[str, Any]
_MASKED = "Guardrail masked."
_NAMES = ("guardrailIdentifier", "guardrailVersion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`text`: as it may be shown, which is the guardrail's own if it is blocked."""

    text: str
    blocked: bool = False
    intervened: bool = False  # it was blocked, or something of it is hidden
    event: Params | None = None

    @property
    def told(self) -> Iterator[Params]:
        """In the trace, where there is a guardrail."""
        if self.event is not None:
            yield self.event


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarding:
    applier: GuardrailApplier
    threads: Threads

    async def verdict(self, asked: Asked, source: str, text: str) -> Verdict:
        guardrail = own(asked)
        if not guardrail or not text.strip():
            return Verdict(text=text)
        content = [{"text": {"text": text}}]
        answer = await self.applied(asked, {**guardrail, "source": source, "content": content})
        shown = "\n".join(str(one["text"]) for one in answer.get("outputs") or ())
        stopped = intervened(answer)
        return Verdict(
            text=shown if stopped else text,
            blocked=stopped and answer.get("actionReason") != _MASKED,
            intervened=stopped,
            event=traced(asked, source, answer),
        )

    async def applied(self, asked: Asked, req: Params) -> Params:
        """As who works for the agent: that it may, the turn began with."""
        whose, worker = asked.held.key.whose, asked.worker
        try:
            answer = await self.threads.run(whose, self.applier.apply_guardrail, worker, req)
        except Unavailable as error:
            raise ServiceError("DependencyFailedException", NOT_NOW) from error
        noted = {name: one for name, one in worker.notes.audit.items() if "guardrail" in name}
        asked.call.notes.audit |= noted
        return answer


def own(asked: Asked) -> Params:
    """The agent's guardrail, as requests name it; nothing if it has none."""
    given: Mapping[str, Any] = asked.agent.get("guardrailConfiguration") or {}
    return {name: given[name] for name in _NAMES if given.get(name)}


def is_own(asked: Asked, given: Mapping[str, Any]) -> bool:
    guardrail = own(asked)
    return bool(guardrail) and all(given.get(name) == guardrail.get(name) for name in _NAMES)


def intervened(answer: Mapping[str, Any]) -> bool:
    return bool(answer["action"] == "GUARDRAIL_INTERVENED")


def traced(asked: Asked, source: str, answer: Mapping[str, Any]) -> Params:
    name, assessments = str(own(asked).get(_NAMES[0])), list(answer["assessments"])
    if source == "INPUT":
        assessed: Params = {"inputAssessment": {name: assessments[0]}} if assessments else {}
    else:
        assessed = {"outputAssessments": {name: assessments}}
    return asked.tracer.guardrail(intervened(answer), assessed)

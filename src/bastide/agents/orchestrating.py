"""An orchestrator at work: one decision of an agent's loop, by a function of the agency's.

The function says what is to be done; what may be done, the agent's own walls say. It asks no model,
calls no tool and applies no guardrail but the agent's, within the bounds of any other turn; calls
of tools go back to the loop, which holds them as it holds a model's (decisions 0062 and 0075).
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bastide.agents import guarding, orchestrator, spotlight, traces
from bastide.agents.asked import Asked
from bastide.agents.consulting import Consultation, Consulting
from bastide.agents.executing import Attributes, BadResponse, agent_of, malformed
from bastide.agents.guarding import Guarding, Verdict
from bastide.agents.loop import Answered, Said, Turn, spent
from bastide.agents.orchestrated_asking import request_of
from bastide.agents.orchestrator import Action, Heard, State
from bastide.agents.ports import Executors, Requests
from bastide.agents.processing import GUARDED
from bastide.agents.story import Story
from bastide.agents.tools import Does
from bastide.kernel.clock import Clock
from bastide.kernel.errors import NOT_NOW, ServiceError, Unavailable

Params = dict[str, Any]
APPLY_GUARDRAIL = "bedrock-runtime.ApplyGuardrail"


@dataclass(slots=True, kw_only=True)
class Decision:
    """`turn`: that waits for it. `state`, `text`: at which the orchestrator is asked next, and what
    it is told there. `content`: what was decided, as a model would have said it; None while nothing
    is. `as_it_is`: a guardrail said it. `answers`: of the model, and what they took."""

    asked: Asked
    turn: Turn
    beside: Attributes
    story: Story
    state: str = ""
    text: str = ""
    content: Sequence[Mapping[str, Any]] | None = None
    as_it_is: bool = False
    answers: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def event(self) -> Answered:
        return Answered(self.content or (), self.tokens, self.seconds)

    def before(self) -> Turn:
        """The turn that is told of it. Code may call again what it has called, and wrongly: rounds
        and calls end it."""
        steps = self._steps - 1
        return replace(self.turn, steps=steps, final=False, made=frozenset(), faults=frozenset())

    @property
    def spent(self) -> str:
        return spent(replace(self.after(), steps=self._steps))

    @property
    def _steps(self) -> int:
        """A step is an answer of a model; what a turn begins with is one in any case."""
        return max(1, self.turn.steps + self.answers)

    def after(self) -> Turn:
        """One that fails: what it took counts all the same, for who asked this agent."""
        turn = self.turn
        tokens, seconds = turn.tokens + self.tokens, turn.seconds + self.seconds
        return replace(turn, steps=turn.steps + self.answers, tokens=tokens, seconds=seconds)

    def judged(self, verdict: Verdict) -> str:
        """What is blocked is the end, in the guardrail's words."""
        if verdict.blocked:
            self.content, self.as_it_is = [{"text": verdict.text}], True
        return verdict.text

    def said(self, verdict: Verdict) -> str:
        """The same of what the user reads. Beside what was hidden, its source would tell it."""
        self.story.hidden |= verdict.intervened
        return self.judged(verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrating:
    executors: Executors
    consulting: Consulting
    requests: Requests
    guarding: Guarding
    clock: Clock

    async def events(self, one: Decision) -> AsyncIterator[Params]:
        """Traces. DependencyFailedException for what an orchestrator may not say."""
        asked, story, words = one.asked, one.story, ""
        if isinstance(asked.event, Said) and not story.begun:
            verdict = await self.guarding.verdict(asked, "INPUT", asked.event.text)
            for event in verdict.told:
                yield event
            words = one.judged(verdict)
        if one.content is None:
            _open(one, words)
        while one.content is None:
            try:
                heard = await self._hear(one)
                if heard.trace:
                    yield asked.tracer.custom_orchestration(heard.trace)
                async for event in self._done(one, heard):
                    yield event
            except BadResponse as error:
                raise malformed(error) from error

    async def _hear(self, one: Decision) -> Heard:
        if why := one.story.spent:
            raise ServiceError("DependencyFailedException", why)
        asked, beside = one.asked, one.beside
        payload = json.dumps(event_of(one), ensure_ascii=False).encode(errors="replace")
        arn, started = orchestrator.executor_of(asked.agent), self.clock.monotonic_s()
        asked.call.notes.audit["orchestrator"] = arn
        try:
            said, why = await self.executors.invoke(asked.worker, agent_of(asked), arn, payload)
        except (ServiceError, Unavailable) as error:
            raise _unheard(error) from error
        finally:
            one.seconds += self.clock.monotonic_s() - started
        if why:
            raise ServiceError("DependencyFailedException", f"The orchestrator failed: {why}")
        heard = orchestrator.heard_in(said)
        one.story.went(one.state, one.text, heard)
        beside.session = beside.session if heard.session is None else heard.session
        beside.prompt = beside.prompt if heard.prompt is None else heard.prompt
        return heard

    async def _done(self, one: Decision, heard: Heard) -> AsyncIterator[Params]:
        """What it says is to be done: the end of the decision, or the state that comes of it."""
        why = one.spent
        if why and heard.event != Action.FINISH:
            raise ServiceError("DependencyFailedException", why)
        match heard.event:
            case Action.INVOKE_MODEL:
                events = self._model(one, heard.text)
            case Action.INVOKE_TOOL:
                events = self._tool(one, heard.text)
            case Action.APPLY_GUARDRAIL:
                events = self._guardrail(one, heard.text)
            case Action.FINISH:
                events = self._finish(one, heard.text)
            case own:  # AWS's "user-defined": a state that it named for itself
                one.state, one.text = own, heard.text
                return
        async for event in events:
            yield event

    async def _model(self, one: Decision, text: str) -> AsyncIterator[Params]:
        asked, answered = one.asked, Consultation()
        with _refusals():
            req = request_of(self.requests, asked, one.turn, text)
        async for event in self.consulting.events(
            asked, req, answered, kind=traces.Kind.ORCHESTRATION, streams=False
        ):
            yield event
        one.answers += 1
        one.tokens += answered.tokens
        one.seconds += answered.took_s
        said = [str(block["text"]) for block in answered.content if block.get("text")]
        one.story.judged |= {each.strip() for each in (*said, "\n".join(said))}
        calls = any("toolUse" in block for block in answered.content)
        one.state, one.text = State.MODEL_INVOKED, _model_said(answered.answer)
        guarded = answered.answer.get("stopReason") == GUARDED
        one.story.hidden |= guarded
        if guarded and not calls:
            one.content, one.as_it_is = answered.content, True
            one.story.stopped(one.text, "\n".join(said))

    async def _tool(self, one: Decision, text: str) -> AsyncIterator[Params]:
        """For the loop, but for a question: that is read by the user, as an answer is."""
        use = orchestrator.use_in(text)
        args, tool = dict(use.args), one.turn.tools.get(use.name)
        question = args.get("question")
        if tool is not None and tool.does is Does.ASK_USER and isinstance(question, str):
            verdict = await self.guarding.verdict(one.asked, "OUTPUT", question)
            for event in verdict.told:
                yield event
            args["question"] = one.said(verdict)
            one.as_it_is |= one.story.hidden
        if one.content is None:
            called = {"toolUseId": use.id, "name": use.name, "input": args}
            one.content = [{"toolUse": called}]

    async def _guardrail(self, one: Decision, text: str) -> AsyncIterator[Params]:
        asked = one.asked
        with _refusals():
            given = {**guarding.own(asked), **orchestrator.document_in(text)}
            req = self.requests.read(APPLY_GUARDRAIL, given)
            if not guarding.is_own(asked, req):
                raise BadResponse("guardrailIdentifier is not that of a guardrail of the agent's")
            answer = await self.guarding.applied(asked, req)
        one.story.hidden |= req["source"] == "OUTPUT" and guarding.intervened(answer)
        yield guarding.traced(asked, req["source"], answer)
        one.state = State.GUARDRAIL_APPLIED
        one.text = json.dumps(answer, ensure_ascii=False)

    async def _finish(self, one: Decision, text: str) -> AsyncIterator[Params]:
        if text.strip() not in one.story.judged:
            verdict = await self.guarding.verdict(one.asked, "OUTPUT", text)
            for event in verdict.told:
                yield event
            text = one.said(verdict)
        one.as_it_is |= one.story.hidden
        if one.content is None:
            one.content = [{"text": text}]


def event_of(one: Decision) -> Params:
    asked = one.asked
    agent: Params = {
        "instruction": str(asked.agent.get("instruction") or ""),
        "defaultModelId": asked.agent["foundationModel"],
        "tools": [tool.spec() for tool in one.turn.tools.values()],
    }
    if guardrail := guarding.own(asked):
        identifier, version = guardrail["guardrailIdentifier"], guardrail.get("guardrailVersion")
        agent["guardrails"] = {"identifier": identifier, "version": version}
    return {
        "version": orchestrator.VERSION,
        "state": str(one.state),
        "input": {"text": one.text},
        "context": {
            "requestId": asked.call.request_id,
            "sessionId": asked.held.key.id,
            "agentConfiguration": agent,
            "session": one.story.turns,
            "sessionAttributes": dict(one.beside.session),
            "promptSessionAttributes": dict(one.beside.prompt),
        },
    }


def _open(one: Decision, words: str) -> None:
    """The state that it begins with: a request of the user's, or a result of a tool. A question's
    is what the user said then. `words`: the request, as a guardrail leaves it."""
    turn, story = one.turn, one.story
    content = turn.messages[-1]["content"]
    results = [block["toolResult"] for block in content if "toolResult" in block]
    if any("text" in block for block in content):
        one.state, one.text = State.START, json.dumps({"text": words}, ensure_ascii=False)
        story.begin(words, () if one.asked.held.number else turn.messages[:-1])
        return
    answered = bool(words) and not story.begun  # the user's own words are the result
    story.go_on()
    told = {**results[-1], "content": [{"text": words}]} if answered else results[-1]
    one.state, one.text = State.TOOL_INVOKED, _told(told, turn.fence)


def _told(result: Mapping[str, Any], fence: str) -> str:
    """As code reads it: the fence is for models."""
    content = [{"text": spotlight.plain(each["text"], fence)} for each in result["content"]]
    return json.dumps({"toolResult": {**result, "content": content}}, ensure_ascii=False)


def _model_said(answer: Mapping[str, Any]) -> str:
    """`output` is the message, as AWS's own samples read it."""
    shown = {name: answer[name] for name in ("stopReason", "usage", "metrics") if name in answer}
    return json.dumps({"output": answer["output"]["message"], **shown}, ensure_ascii=False)


@contextmanager
def _refusals() -> Iterator[None]:
    """What a door refuses of a request is a fault of the orchestrator's, not of its caller's."""
    try:
        yield
    except ServiceError as error:
        raise BadResponse(error.message) from error


def _unheard(error: ServiceError | Unavailable) -> ServiceError:
    why = NOT_NOW if isinstance(error, Unavailable) else error.message
    message = f"The orchestrator could not be executed: {why}"
    return ServiceError("DependencyFailedException", message)

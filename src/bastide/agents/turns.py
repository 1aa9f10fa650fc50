"""One turn, really done: the effects of the pure loop one after the other, and what is told of
them. What was said is kept once, before its last event: a turn that is cut short never was."""

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bastide.agents import (
    generating,
    interpreting,
    orchestrator,
    processing,
    prompting,
    router,
    traces,
)
from bastide.agents.asked import Asked
from bastide.agents.asking import request_of
from bastide.agents.collaborating import Collaborating
from bastide.agents.consulting import Consultation, Consulting
from bastide.agents.executing import Attributes, Executing
from bastide.agents.interpreting import Folder, Interpreting
from bastide.agents.looking_up import LookingUp, Passages
from bastide.agents.loop import (
    Answered,
    Ask,
    Called,
    Do,
    Effect,
    Event,
    Fail,
    Refuse,
    Return,
    Said,
    Say,
    Turn,
    step,
)
from bastide.agents.orchestrating import Decision, Orchestrating
from bastide.agents.ports import Threads
from bastide.agents.prompting import Prompt
from bastide.agents.sessions import Sessions
from bastide.agents.story import Story
from bastide.agents.tools import Does, Tool
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids

Params = dict[str, Any]
CHUNK_MAX = 1_000_000  # bytes of one event
USE_ID_LETTERS = 22


@dataclass(slots=True)
class _UnderWay:
    """`read`: the passages that the answer may rest on. `beside`: as functions leave it.
    `written`: what of the last answer the caller has read. `routed`: the collaborator that answers
    for its supervisor, and what was heard of it. `as_it_is`: the answer is not to be put in other
    words; `put`: it was, in these. `generated` from passages; `ready`: it is the answer, and the
    model is not asked for another. `story`: what an orchestrator is told."""

    turn: Turn
    todo: deque[Effect]
    beside: Attributes
    folder: Folder
    story: Story
    read: list[Mapping[str, Any]] = field(default_factory=list)
    written: str = ""
    as_it_is: bool = False
    put: str = ""
    routed: Tool | None = None
    heard: str = ""
    generated: list[generating.Generated] = field(default_factory=list)
    ready: str = ""

    def hear(self, told: generating.Generated, is_answer: bool) -> None:
        """In the place of the passages that were read last. What a guardrail stopped is the end."""
        self.generated.append(told)
        self.read[-len(told.found) :] = told.rested
        if told.blocked:
            self.ready, self.as_it_is = told.blocked, True
        elif is_answer:
            self.ready = told.text

    def took(self, found: Consultation) -> None:
        """Beside the loop."""
        turn = self.turn
        self.turn = replace(
            turn, tokens=turn.tokens + found.tokens, seconds=turn.seconds + found.took_s
        )

    def take(self, event: Event) -> None:
        self.turn, more = step(self.turn, event)
        self.todo += more


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    consulting: Consulting
    sessions: Sessions
    looking_up: LookingUp
    collaborating: Collaborating
    executing: Executing
    orchestrating: Orchestrating
    interpreting: Interpreting
    threads: Threads
    clock: Clock
    ids: Ids

    async def events(self, asked: Asked) -> AsyncIterator[Params]:
        """Traces, and last a chunk or a returned control. Raises ServiceError."""
        async for event in self._run(asked, _under_way(asked)):
            yield event

    async def _run(self, asked: Asked, under: _UnderWay) -> AsyncIterator[Params]:
        under.take(asked.event)
        while under.todo:
            effect = under.todo.popleft()
            match effect:
                case Ask():
                    told = self._ask(asked, under, final=effect.final)
                case Do():
                    told = self._do(asked, under, effect)
                case Refuse():
                    told = _refused(asked, effect)
                case Return():
                    told = self._hand_over(asked, under, effect)
                case Say():
                    told = self._say(asked, under, effect)
                case Fail(why):
                    yield asked.tracer.failure(why)
                    raise ServiceError("DependencyFailedException", why)
            async for event in told:
                yield event

    def _do(self, asked: Asked, under: _UnderWay, effect: Do) -> AsyncIterator[Params]:
        match effect.tool.does:
            case Does.LOOK_UP:
                return self._look_up(asked, under, effect)
            case Does.EXECUTE:
                return self._execute(asked, under, effect)
            case Does.INTERPRET:
                return self._interpret(asked, under, effect)
        return self._collaborate(asked, under, effect)

    async def _ask(self, asked: Asked, under: _UnderWay, *, final: bool) -> AsyncIterator[Params]:
        first = under.turn.steps == 0 and isinstance(asked.event, Said)
        if first and prompting.wants(asked.agent, Prompt.PRE_PROCESSING):
            async for event in self._judge(asked, under):
                yield event
            if under.as_it_is:
                return
        others = router.routes(asked.agent, under.turn)
        if others and first:
            async for event in self._route(asked, under, others):
                yield event
            if under.routed is not None:
                return
        if at_hand := self._at_hand(asked, under, first=first):
            under.take(Answered(at_hand, 0, 0.0))
            return
        led = orchestrator.executor_of(asked.agent)
        ask = self._orchestrate(asked, under) if led else self._consult(asked, under, final=final)
        async for event in ask:
            yield event

    async def _consult(
        self, asked: Asked, under: _UnderWay, *, final: bool
    ) -> AsyncIterator[Params]:
        req = request_of(asked, under.turn, under.beside.prompt, final=final)
        found = Consultation()
        events = self.consulting.events(
            asked, req, found, kind=traces.Kind.ORCHESTRATION,
            streams=asked.streams and not prompting.wants(asked.agent, Prompt.POST_PROCESSING),
        )  # fmt: skip
        async for event in events:
            yield event
        if why := traces.rationale(found.content):
            yield asked.tracer.orchestration("rationale", {"text": why})
        under.written = found.written
        under.as_it_is = found.answer.get("stopReason") == processing.GUARDED
        under.take(found.event)

    def _at_hand(
        self, asked: Asked, under: _UnderWay, *, first: bool
    ) -> Sequence[Mapping[str, Any]]:
        """What is said or called in the model's place; nothing where it is to be asked."""
        said = (under.heard if under.routed is not None else "") or under.ready
        if said or not first:
            return [{"text": said}] if said else []
        use_id = self.ids.word(USE_ID_LETTERS)
        return generating.begun(asked, under.turn, _words(asked, under), use_id)

    async def _orchestrate(self, asked: Asked, under: _UnderWay) -> AsyncIterator[Params]:
        """The agency's function decides in the model's place. Where that fails, the turn does."""
        found = Decision(asked=asked, turn=under.turn, beside=under.beside, story=under.story)
        try:
            async for event in self.orchestrating.events(found):
                yield event
        except ServiceError as error:
            under.turn = found.after()
            yield asked.tracer.failure(error.message)
            raise
        under.as_it_is, under.turn = found.as_it_is, found.before()
        under.take(found.event)

    async def _judge(self, asked: Asked, under: _UnderWay) -> AsyncIterator[Params]:
        """Whether the user's words are for this agent; the turn ends where they are not."""
        found = Consultation()
        req = processing.request_before(asked.agent, under.turn, _words(asked, under))
        async for event in self.consulting.events(
            asked, req, found, kind=traces.Kind.PRE_PROCESSING, streams=False
        ):
            yield event
        if processing.judged(found.answer)["isValid"]:
            under.took(found)
        else:
            under.as_it_is = True
            under.take(replace(found.event, content=[{"text": processing.REFUSED}]))

    async def _put(self, asked: Asked, under: _UnderWay, text: str) -> AsyncIterator[Params]:
        """An answer in other words: `under.put`, if there are any."""
        found = Consultation()
        req = processing.request_after(asked.agent, under.turn, _words(asked, under), text)
        async for event in self.consulting.events(
            asked, req, found, kind=traces.Kind.POST_PROCESSING, streams=asked.streams
        ):
            yield event
        under.took(found)
        under.written = found.written
        under.put = processing.rewritten(found.answer)["text"]

    async def _route(
        self, asked: Asked, under: _UnderWay, others: Sequence[Tool]
    ) -> AsyncIterator[Params]:
        """One of them is called, or none."""
        found = Consultation()
        req = router.request_of(asked.agent, under.turn, others)
        async for event in self.consulting.events(
            asked, req, found, kind=traces.Kind.ROUTING_CLASSIFIER, streams=False
        ):
            yield event
        tool = under.routed = router.chosen(found.content, others)
        if tool is not None:
            call = router.call_of(tool, self.ids.word(USE_ID_LETTERS), under.turn.words)
            under.take(replace(found.event, content=call))
        else:
            under.took(found)

    async def _look_up(self, asked: Asked, under: _UnderWay, effect: Do) -> AsyncIterator[Params]:
        base, query = effect.tool.target, str(effect.use.args["query"])
        yield asked.tracer.orchestration("invocationInput", traces.lookup_input(base, query))
        started = self.clock.monotonic_s()
        wanted = asked.searched.get(base) or {}
        passages = await self.looking_up.ask(asked.worker, base, query, wanted)
        under.read += passages.found
        found = {"retrievedReferences": traces.references(passages.found)}
        yield _observed(asked, "KNOWLEDGE_BASE", knowledgeBaseLookupOutput=found)
        took_s = self.clock.monotonic_s() - started
        called = Called(effect.use.id, passages.text, not passages.refused, seconds=took_s)
        if passages.found and generating.is_wanted(asked.agent, under.turn):
            async for event in self._generate(asked, under, passages, (called, query)):
                yield event
        else:
            under.take(called)

    async def _generate(
        self, asked: Asked, under: _UnderWay, passages: Passages, searched: tuple[Called, str]
    ) -> AsyncIterator[Params]:
        """An answer from what was found, in its place. Where there is none, that is told."""
        called, query = searched
        found = Consultation()
        req = generating.request_of(asked.agent, under.turn, query, passages.found)
        async for event in self.consulting.events(
            asked, req, found, kind=traces.Kind.KNOWLEDGE_BASE, streams=False
        ):
            yield event
        told = generating.generated(found.answer, passages.found)
        took = replace(called, tokens=found.tokens, steps=1, seconds=called.seconds + found.took_s)
        if told is not None:
            took = replace(took, text=told.text or generating.STOPPED, ok=not told.blocked)
            under.hear(told, generating.is_answer(asked.agent, under.turn, told))
        under.take(took)

    async def _execute(self, asked: Asked, under: _UnderWay, effect: Do) -> AsyncIterator[Params]:
        """By a Lambda function. Where that fails, the turn does."""
        use, tool = effect.use, effect.tool
        yield asked.tracer.orchestration("invocationInput", traces.invocation_input(use, tool))
        started = self.clock.monotonic_s()
        try:
            heard = await self.executing.run(asked, use, tool, under.turn.words, under.beside)
        except ServiceError as error:
            yield asked.tracer.failure(error.message)
            raise
        yield _observed(asked, "ACTION_GROUP", actionGroupInvocationOutput={"text": heard.text})
        took_s = self.clock.monotonic_s() - started
        under.take(Called(use.id, heard.text, heard.ok, seconds=took_s))

    async def _interpret(self, asked: Asked, under: _UnderWay, effect: Do) -> AsyncIterator[Params]:
        code, folder = str(effect.use.args["code"]), under.folder
        yield asked.tracer.orchestration("invocationInput", traces.code_input(code, folder.given))
        started = self.clock.monotonic_s()
        ran = await self.interpreting.run(asked.worker, asked.held.key, folder, code)
        output = interpreting.output(ran)
        yield _observed(asked, "ACTION_GROUP", codeInterpreterInvocationOutput=output)
        took_s = self.clock.monotonic_s() - started
        said = interpreting.told(ran, folder)
        under.take(Called(effect.use.id, said, not ran.error, seconds=took_s))

    async def _collaborate(
        self, asked: Asked, under: _UnderWay, effect: Do
    ) -> AsyncIterator[Params]:
        """Another agent's turn within this one; what it says is data, as all that functions say.
        Whatever refuses it, its label too, is told to the model and in the trace."""
        tool, message = effect.tool, str(effect.use.args["message"])
        yield asked.tracer.orchestration("invocationInput", traces.asks(tool, message))
        inner: _UnderWay | None = None  # one that is refused before it begins takes nothing
        said, ok = "It has no answer.", False
        try:
            child = await self.threads.run(
                asked.held.key.whose, self.collaborating.begun, asked, under.turn, effect
            )
            with self.sessions.one_turn(child.held.key):
                inner = _under_way(child)
                async for event in self._run(child, inner):
                    if "trace" in event or "files" in event:
                        yield event
                    elif "chunk" in event:
                        said, ok = event["chunk"]["bytes"].decode(), True
                    else:
                        said = "It needs the control of its caller, which it cannot have here."
        except ServiceError as error:
            said = f"It was not asked: {error.message}"
        yield _observed(
            asked, "AGENT_COLLABORATOR",
            agentCollaboratorInvocationOutput=traces.said_by(tool, said),
        )  # fmt: skip
        under.heard = said if ok else ""
        called = Called(effect.use.id, said, ok)
        if inner is not None:
            turn = inner.turn
            called = replace(
                called, tokens=turn.tokens, steps=turn.steps, seconds=turn.seconds, calls=turn.calls
            )
        under.take(called)

    async def _hand_over(
        self, asked: Asked, under: _UnderWay, effect: Return
    ) -> AsyncIterator[Params]:
        invocation_id = self.ids.uuid()
        for use, tool, _ in effect.calls:
            given = traces.invocation_input(use, tool, invocation_id)
            yield asked.tracer.orchestration("invocationInput", given)
        await self._keep(asked, under, invocation_id)
        for files in interpreting.events(under.folder):
            yield files
        agent_id = asked.held.key.agent_id
        inputs = [
            traces.control_input(use, tool, mode, agent_id) for use, tool, mode in effect.calls
        ]
        yield {"returnControl": {"invocationId": invocation_id, "invocationInputs": inputs}}

    async def _say(self, asked: Asked, under: _UnderWay, effect: Say) -> AsyncIterator[Params]:
        if _is_put(asked, under, effect):
            async for event in self._put(asked, under, effect.text):
                yield event
        text = under.put or effect.text
        under.story.end(text)
        await self._keep(asked, under, "")
        for files in interpreting.events(under.folder):
            yield files
        kind = "ASK_USER" if effect.asks else "FINISH"
        yield _observed(asked, kind, finalResponse={"text": text})
        # What a guardrail stopped or masked is not told beside it.
        cited = [] if under.as_it_is else generating.cited(text, under.read, under.generated)
        read = under.written.strip() == text  # in pieces, as it was written
        said = b"" if read else text.encode("utf-8", "replace")[:CHUNK_MAX]
        if said or cited:
            beside = {"attribution": {"citations": cited}} if cited else {}
            yield {"chunk": {"bytes": said, **beside}}

    async def _keep(self, asked: Asked, under: _UnderWay, invocation_id: str) -> None:
        held = replace(
            asked.held, turn=under.turn, invocation_id=invocation_id,
            attributes=under.beside.session, story=under.story.kept(),
        )  # fmt: skip
        files = await self.interpreting.opened(asked.held.key, under.folder)
        await self.threads.run(asked.held.key.whose, self.sessions.save, held, asked.ttl_s, files)


def _under_way(asked: Asked) -> _UnderWay:
    beside = Attributes(session=asked.held.attributes, prompt=asked.prompted)
    folder = Folder(given={one.name: one.data for one in asked.files if not one.read})
    story = Story(turns=[dict(one) for one in asked.held.story])
    return _UnderWay(asked.held.turn, deque(), beside, folder, story)


def _words(asked: Asked, under: _UnderWay) -> str:
    """What is asked of this agent: by the user, or by its supervisor."""
    return asked.event.text if isinstance(asked.event, Said) else under.turn.words


def _is_put(asked: Asked, under: _UnderWay, effect: Say) -> bool:
    """Whether the answer is to be put in other words, and there are tokens left to."""
    if effect.asks or not effect.text or under.as_it_is:
        return False
    turn = under.turn
    return turn.tokens < turn.bounds.tokens and prompting.wants(asked.agent, Prompt.POST_PROCESSING)


async def _refused(asked: Asked, effect: Refuse) -> AsyncIterator[Params]:
    said = {"source": "PARSER", "text": effect.why}
    yield _observed(asked, "REPROMPT", repromptResponse=said)


def _observed(asked: Asked, kind: str, **said: Any) -> Params:
    return asked.tracer.orchestration("observation", {"type": kind, **said})

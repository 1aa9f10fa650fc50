"""bedrock-agent-runtime: RetrieveAndGenerate, whole and as a stream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_RetrieveAndGenerate.html

The answer's label is the join of all that the model was shown, known before the first word.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, invalid, unsupported
from bastide.kernel.labels.label import Label, joined
from bastide.kernel.operation import operation
from bastide.knowledge.citing import Telling
from bastide.knowledge.model import BaseRow, Params
from bastide.knowledge.ports import Conversations, Threads
from bastide.knowledge.prompting import check_template, request
from bastide.knowledge.search import SEARCH_MEMBERS, Passage, Search
from bastide.knowledge.sentences import Sentence, SentenceReader, whole
from bastide.knowledge.sessions import Sessions, Turn

NOTHING = "Sorry, I am unable to assist you with this request."
_KB = "retrieveAndGenerateConfiguration.knowledgeBaseConfiguration"
_SEARCH = f"{_KB}.retrievalConfiguration.vectorSearchConfiguration"
_GENERATION = f"{_KB}.generationConfiguration"
_HONOURED = (
    "sessionId",
    "input.text",
    "retrieveAndGenerateConfiguration.type",
    f"{_KB}.knowledgeBaseId",
    f"{_KB}.modelArn",
    *(f"{_SEARCH}.{member}" for member in SEARCH_MEMBERS),
    f"{_GENERATION}.promptTemplate",
    f"{_GENERATION}.inferenceConfig",
    f"{_GENERATION}.guardrailConfiguration",
    f"{_GENERATION}.additionalModelRequestFields",
    f"{_GENERATION}.performanceConfig",
)
# What the model's own operation says and this one has no name for.
_FAILURES = frozenset(
    {
        "ModelErrorException",
        "ModelNotReadyException",
        "ModelTimeoutException",
        "ModelStreamErrorException",
        "ServiceUnavailableException",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One question, with all that its answer may rest on."""

    question: str
    base: BaseRow
    session_id: str
    turns: list[Turn]
    passages: list[Passage]
    label: Label
    converse: Params


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveAndGenerate:
    search: Search
    sessions: Sessions
    conversations: Conversations
    threads: Threads

    @operation(*_HONOURED)
    async def retrieve_and_generate(self, call: Call, req: Params) -> Params:
        asked = await self.threads.run(call.whose, self._asked, call, req)
        telling = self._telling(call, asked)
        call.notes.label = asked.label.text
        if not asked.passages:
            return await self._nothing(call, asked)
        with _told_here():
            answer = await self.conversations.converse(call, asked.converse)
        written = _text(answer)
        if answer.get("stopReason") == "guardrail_intervened":
            return await self._guarded(call, asked, telling, written)
        telling.begin()
        for sentence in _sentences(asked, written):
            telling.add(sentence)
        await self.threads.run(call.whose, self._keep, call, asked, telling.text)
        citations = [telling.citation(part) for part in telling.parts]
        return _answer(asked, telling.text, citations)

    async def _guarded(self, call: Call, asked: _Asked, telling: Telling, written: str) -> Params:
        """What a guardrail left of an answer, or says instead. Citations would tell what it hid."""
        if sentences := whole(written, len(asked.passages)):
            telling.begin()
            for sentence in sentences:
                telling.add(sentence)
            await self.threads.run(call.whose, self._keep, call, asked, telling.text)
            written = telling.text
        return {**_answer(asked, written, []), "guardrailAction": "INTERVENED"}

    @operation(*_HONOURED)
    async def retrieve_and_generate_stream(self, call: Call, req: Params) -> Params:
        """What is wrong before the first byte is an error of the call, later an event."""
        asked = await self.threads.run(call.whose, self._asked, call, req)
        telling = self._telling(call, asked)
        call.notes.label = asked.label.text
        if not asked.passages:
            told = await self._nothing(call, asked)
            return {"sessionId": asked.session_id, "stream": _once(told["output"]["text"])}
        with _told_here():
            answer = await self.conversations.converse_stream(call, asked.converse)
        stream = answer["stream"]
        events = _told_events(self._events(call, asked, telling, stream))
        return {"sessionId": asked.session_id, "stream": Told(events, stream)}

    def _asked(self, call: Call, req: Params) -> _Asked:
        configuration = req.get("retrieveAndGenerateConfiguration") or {}
        wanted = configuration.get("knowledgeBaseConfiguration")
        if configuration.get("type") != "KNOWLEDGE_BASE":
            raise unsupported(call.operation, f"type={configuration.get('type')}")
        if not wanted:
            raise invalid("knowledgeBaseConfiguration must be given for the type KNOWLEDGE_BASE.")
        template = (wanted.get("generationConfiguration") or {}).get("promptTemplate") or {}
        check_template(template.get("textPromptTemplate") or "")
        base = self.search.shelf.working(call, wanted["knowledgeBaseId"])
        session_id = req.get("sessionId") or ""
        turns = self.sessions.turns(call, base.id, session_id) if session_id else []
        found = (wanted.get("retrievalConfiguration") or {}).get("vectorSearchConfiguration") or {}
        question = req["input"]["text"]
        passages = self.search.passages(call, base, question, found)
        return _Asked(
            question=question,
            base=base,
            session_id=session_id or self.search.shelf.ids.uuid(),
            turns=turns,
            passages=passages,
            label=self._label(base, passages, turns),
            converse=request(wanted, question, passages, turns),
        )

    def _label(self, base: BaseRow, passages: list[Passage], turns: list[Turn]) -> Label:
        parse = self.search.shelf.marks.parse
        label = joined(
            [
                parse(base.label),
                *(passage.label for passage in passages),
                *(parse(turn["label"]) for turn in turns),
            ]
        )
        assert label is not None, "a knowledge base has a label"
        return label

    def _telling(self, call: Call, asked: _Asked) -> Telling:
        """Marked where it is above what the agency keeps without a mark."""
        unmarked = self.search.shelf.marks.labelling.of_account(call.account)
        banner = "" if unmarked.dominates(asked.label) else asked.label.text
        before = " ".join(turn["answer"] for turn in asked.turns)
        return Telling(passages=asked.passages, label=asked.label, banner=banner, before=before)

    async def _nothing(self, call: Call, asked: _Asked) -> Params:
        await self.threads.run(call.whose, self._keep, call, asked, NOTHING)
        return _answer(asked, NOTHING, [])

    def _keep(self, call: Call, asked: _Asked, text: str) -> None:
        turn = {
            "question": asked.question,
            "answer": text,
            "label": asked.label.text,
            "base": asked.base.id,
        }
        self.sessions.keep(call, asked.session_id, [*asked.turns, turn])

    async def _events(
        self, call: Call, asked: _Asked, telling: Telling, stream: AsyncGenerator[Params, None]
    ) -> AsyncGenerator[Params, None]:
        """Each sentence once it is whole, and what it rests on."""
        reader, stopped, written = SentenceReader(passages=len(asked.passages)), "", ""
        before = telling.begin()
        async with aclosing(stream) as model:
            async for event in model:
                delta = event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
                stopped = event.get("messageStop", {}).get("stopReason", stopped)
                written += delta
                for sentence in reader.read(delta):
                    for told in _told(telling, sentence, before):
                        yield told
                    before = ""
        if stopped == "guardrail_intervened":
            if whole(written, len(asked.passages)):  # they were told
                await self.threads.run(call.whose, self._keep, call, asked, telling.text)
            else:
                yield {"output": {"text": written}}
            yield {"guardrail": {"action": "INTERVENED"}}
            return
        if not telling.parts:
            raise _no_answer()
        await self.threads.run(call.whose, self._keep, call, asked, telling.text)


class Told:
    """The events of one answer. Closed before its first one was asked for, it still closes the
    model's, which holds a place."""

    def __init__(
        self, events: AsyncGenerator[Params, None], model: AsyncGenerator[Params, None]
    ) -> None:
        self._events = events
        self._model = model

    def __aiter__(self) -> "Told":
        return self

    async def __anext__(self) -> Params:
        return await self._events.__anext__()

    async def aclose(self) -> None:
        await self._events.aclose()
        await self._model.aclose()


def _told(telling: Telling, sentence: Sentence, before: str) -> list[Params]:
    """`before`: what stands before the first one."""
    text, part = telling.add(sentence)
    return [{"output": {"text": before + text}}, {"citation": {"citation": telling.citation(part)}}]


def _sentences(asked: _Asked, written: str) -> list[Sentence]:
    """At least one: an answer that was cut off before is none."""
    found = SentenceReader(passages=len(asked.passages)).read(written)
    if not found:
        raise _no_answer()
    return found


def _text(answer: Params) -> str:
    content = answer["output"]["message"]["content"]
    return "".join(block.get("text", "") for block in content)


def _answer(asked: _Asked, text: str, citations: list[Params]) -> Params:
    return {
        "sessionId": asked.session_id,
        "output": {"text": text},
        "citations": citations,
        "guardrailAction": "NONE",
    }


async def _told_events(events: AsyncGenerator[Params, None]) -> AsyncGenerator[Params, None]:
    async with aclosing(events) as each:
        with _told_here():
            async for event in each:
                yield event


async def _once(text: str) -> AsyncGenerator[Params, None]:
    yield {"output": {"text": text}}


def _no_answer() -> ServiceError:
    message = "The model gave no answer that could be checked. Allow it more tokens, or try again."
    return ServiceError("DependencyFailedException", message)


@contextmanager
def _told_here() -> Iterator[None]:
    """The model's failures, in this operation's words."""
    try:
        yield
    except ServiceError as error:
        if error.code not in _FAILURES:
            raise
        raise ServiceError("DependencyFailedException", error.message) from error

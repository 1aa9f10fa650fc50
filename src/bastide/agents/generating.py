"""What a knowledge base returned, turned into an answer by a model call of its own, where an
agent's prompts say so: KNOWLEDGE_BASE_RESPONSE_GENERATION. The model is held to sentences that say
what they rest on, as RetrieveAndGenerate's is, so what is cited is known and not guessed.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/advanced-prompts.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/agents-optimize-performance.html
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bastide.agents import prompting, spotlight
from bastide.agents.asked import Asked
from bastide.agents.looking_up import citations
from bastide.agents.loop import Turn
from bastide.agents.processing import GUARDED
from bastide.agents.prompting import Prompt
from bastide.agents.tools import Does
from bastide.agents.traces import references
from bastide.knowledge.sentences import (
    FORMAT,
    Sentence,
    SentenceReader,
    schema,
    telling_words,
    whole,
)

Params = dict[str, Any]
Passage = Mapping[str, Any]
QUESTION_MAX = 1_000  # characters of what is looked for as it was said
STOPPED = "A guardrail stopped what was found."


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """Sentences from the passages that were `found`. `masked`: by a guardrail, and not put down to
    what they hide; `blocked`: what a guardrail says instead."""

    found: Sequence[Passage]
    sentences: Sequence[Sentence] = ()
    masked: bool = False
    blocked: str = ""

    @property
    def text(self) -> str:
        return " ".join(one.text for one in self.sentences)

    @property
    def rested(self) -> Sequence[Passage]:
        """The passages that it rests on: the others nobody is told of."""
        named = {n for one in self.sentences for n in one.sources}
        return [one for n, one in enumerate(self.found) if n in named]


def is_wanted(agent: Mapping[str, Any], turn: Turn) -> bool:
    """Whether the agent says so, and a step and tokens are left for it: the last answer that there
    is, is the agent's own."""
    most = turn.bounds
    room = turn.steps + 1 < most.steps and turn.tokens < most.tokens and turn.seconds < most.seconds
    return room and prompting.wants(agent, Prompt.KNOWLEDGE_BASE)


def is_all(agent: Mapping[str, Any], turn: Turn) -> bool:
    """Whether a knowledge base is all that an agent has, and neither the prompt of its own work nor
    the model of this step is another: what AWS optimizes."""
    if len(turn.tools) != 1 or prompting.is_own(agent, Prompt.ORCHESTRATION):
        return False
    (tool,) = turn.tools.values()
    same = prompting.model(agent, Prompt.KNOWLEDGE_BASE) == agent["foundationModel"]
    return tool.does is Does.LOOK_UP and same


def begun(asked: Asked, turn: Turn, words: str, use_id: str) -> Sequence[Params]:
    """The call that a conversation of such an agent begins with: what was said is what is looked
    for. None where it may lean on something that was said, kept or handed over before."""
    leans = len(turn.messages) > 1 or asked.remembered or asked.files
    room = is_wanted(asked.agent, replace(turn, steps=turn.steps + 1))
    if leans or not room or len(words) > QUESTION_MAX or not is_all(asked.agent, turn):
        return []
    (name,) = turn.tools
    return [{"toolUse": {"toolUseId": use_id, "name": name, "input": {"query": words}}}]


def request_of(
    agent: Mapping[str, Any], turn: Turn, query: str, found: Sequence[Passage]
) -> Params:
    """Under the agent's guardrail. Passages are data, whoever reads them."""
    passages = spotlight.spotlit(_numbered(found), turn.fence)
    values = {
        "instruction": str(agent.get("instruction") or ""),
        "query": query,
        "search_results": passages,
        "output_format_instructions": FORMAT,
        "tool_output_rule": spotlight.rule(turn.fence),
    }
    system = prompting.filled(agent, Prompt.KNOWLEDGE_BASE, values)
    said = {"name": "cited_answer", "schema": json.dumps(schema(len(found)))}
    req: Params = {
        "modelId": prompting.model(agent, Prompt.KNOWLEDGE_BASE),
        "system": [{"text": system}],
        "messages": [{"role": "user", "content": [{"text": query}]}],
        "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": said}}},
        **prompting.inference(agent, Prompt.KNOWLEDGE_BASE),
    }
    if guard := prompting.guarded(agent.get("guardrailConfiguration")):
        return {**req, **guard, "system": list(_judged(system, passages))}
    return req


def _judged(system: str, passages: str) -> Iterator[Params]:
    """Of a system prompt, a guardrail judges what is marked: the passages, as it judges what
    functions return."""
    for n, text in enumerate(system.split(passages)):
        if n:
            yield {"guardContent": {"text": {"text": passages}}}
        if text.strip():
            yield {"text": text}


def _numbered(found: Sequence[Passage]) -> str:
    """Only the first line of each begins at the margin: a passage cannot begin another."""
    texts = ["\n    ".join(_text(one).splitlines()) for one in found]
    return "\n".join(f"[{n}] {text}" for n, text in enumerate(texts, 1))


def _text(passage: Passage) -> str:
    return str(passage["content"].get("text") or "")


def generated(answer: Mapping[str, Any], found: Sequence[Passage]) -> Generated | None:
    """None: it holds no whole sentence."""
    blocks = answer["output"]["message"]["content"]
    text = "".join(str(block["text"]) for block in blocks if "text" in block).strip()
    masked = answer.get("stopReason") == GUARDED
    read = whole(text, len(found)) if masked else SentenceReader(passages=len(found)).read(text)
    if masked and not read:
        return Generated(found=found, blocked=text or STOPPED)
    words = [telling_words(_text(one)) for one in found]
    sentences = [Sentence(one.text, () if masked else _rests_on(one, words)) for one in read]
    return Generated(found=found, sentences=sentences, masked=masked) if sentences else None


def _rests_on(sentence: Sentence, words: Sequence[set[str]]) -> tuple[int, ...]:
    """A passage that shares no word with a sentence is not what that rests on."""
    telling = telling_words(sentence.text)
    return tuple(n for n in sentence.sources if not telling or telling & words[n])


def is_answer(agent: Mapping[str, Any], turn: Turn, told: Generated) -> bool:
    """Whether it is what the agent answers: where nothing else is to be put together with it."""
    return is_all(agent, turn) and len(turn.uses) == 1 and bool(told.rested or told.masked)


def cited(answer: str, read: Sequence[Passage], told: Sequence[Generated]) -> list[Params]:
    """Each sentence is put down to what it rests on, if the answer is made of such sentences alone;
    else the whole to all that was read for it."""
    sentences = [(one, each.found) for each in told for one in each.sentences]
    sentences.sort(key=lambda pair: -len(pair[0].text))
    parts: list[Params] = []
    at = 0
    while at < len(answer):
        if answer[at].isspace():
            at += 1
            continue
        here = next((pair for pair in sentences if answer.startswith(pair[0].text, at)), None)
        if here is None:
            return citations(answer, read)
        sentence, found = here
        if sentence.sources:
            parts.append(_part(sentence, at, [found[n] for n in sentence.sources]))
        at += len(sentence.text)
    return parts


def _part(sentence: Sentence, at: int, found: Sequence[Passage]) -> Params:
    span = {"start": at, "end": at + len(sentence.text)}
    part = {"textResponsePart": {"text": sentence.text, "span": span}}
    return {"generatedResponsePart": part, "retrievedReferences": references(found)}

"""One turn of the model: words, or calls of tools, by constrained decoding in steps of our own.

Engines' own parsers of tool calls fail with small models (reference/models.md, 1). Here the choice
is one word under a grammar, then the arguments are written under that tool's schema; a reply in
words is free. Each step adds its question to the same prompt in the same place, so that the engine
reads little anew.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from bastide.inference.model import Messages, StopReason
from bastide.inference.prompts import Prompt
from bastide.inference.replies import End, stop_reason, text_of
from bastide.inference.schemas import Schema
from bastide.inference.tools import CALLS_MAX, NO, YES, Choice, Made, Tool, Toolbox
from bastide.inference.voice import Generation, Spent, Voice
from bastide.kernel.errors import unsupported
from bastide.kernel.ids import ALNUM, Ids

ID_LETTERS = 22
CHOICE_TOKENS_MAX = 8
NOWHERE: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Opened:
    """The engine has begun to answer: what was wrong with the request was told before this."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call begins; the JSON of its input follows in parts."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Input:
    json: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is whole, or it never will be: then `input` is None."""

    input: Mapping[str, Any] | None


Part = Opened | Text | Called | Input | Ended


class Heard(Protocol):
    """What was heard of a model so far. `unheard`: it was left while it worked, without a word of
    how far it had come."""

    @property
    def unheard(self) -> bool: ...

    def produced(self) -> Spent: ...

    def close(self) -> None:
        """End what is being generated."""
        ...


class Speaking(Protocol):
    """One turn of a model, whoever runs it. `reason` and `stop_sequence` are there once its parts
    were read."""

    reason: StopReason | None
    stop_sequence: str | None

    @property
    def voice(self) -> Heard: ...

    def parts(self) -> AsyncGenerator[Part, None]: ...


class Turn:
    """`reason` and `stop_sequence` are there once its parts were read."""

    def __init__(
        self, voice: Voice, prompt: Prompt, ids: Ids, *, call_threshold: float = 0.0
    ) -> None:
        self.voice, self._prompt, self._ids = voice, prompt, ids
        self._call_threshold = call_threshold
        self.reason: StopReason | None = None
        self.stop_sequence: str | None = None

    async def parts(self) -> AsyncGenerator[Part, None]:
        box = self._prompt.toolbox
        made: list[Made] = []
        while box is not None and self.reason is None and len(made) < CALLS_MAX:
            tool = await self._chosen(box, made)
            if tool is None:
                break
            async with aclosing(self._call(box, tool, made)) as parts:
                async for part in parts:
                    yield part
        if made or self.reason is not None:
            self.reason = self.reason or StopReason.TOOL_USE
            return
        async with aclosing(self._reply(box)) as parts:
            async for part in parts:
                yield part

    async def _chosen(self, box: Toolbox, made: list[Made]) -> Tool | None:
        """The tool to call now; None for none, or none any more."""
        only_one = box.only_one or box.choice is Choice.TOOL
        if made and (only_one or made[-1] in made[:-1] or self._is_spent()):
            return None  # one call was asked for; and who repeats itself has nothing to add
        if made and await self._picked(box.enough(made), (YES, NO)) == YES:
            return None
        if not made and not box.must_call and await self._declines(box):
            return None
        if self.reason is not None or len(box.tools) == 1:
            return None if self.reason is not None else box.tools[0]
        number = await self._picked(box.which(made), range(1, len(box.tools) + 1))
        return None if self.reason is not None else box.tools[int(number) - 1]

    async def _declines(self, box: Toolbox) -> bool:
        """Models lean to a yes or a no of their own, so each has its threshold."""
        leaning = {"logit_bias": [[YES, -self._call_threshold]]} if self._call_threshold else {}
        picked: str = await self._picked(box.whether(), (NO, YES), leaning)
        return picked == NO

    async def _picked(
        self, question: str, options: Any, leaning: Mapping[str, Any] = NOWHERE
    ) -> Any:
        """One of `options`; the first one if the engine stopped short, and then with a reason."""
        options = list(options)
        left = self._tokens_left()
        if left == 0:
            self.reason = StopReason.MAX_TOKENS
            return options[0]
        most = min(left or CHOICE_TOKENS_MAX, CHOICE_TOKENS_MAX)
        form = one_of(options, local=self.voice.endpoint.local)
        settings = {"temperature": 0.0, "max_tokens": most, **form, **leaning}
        found = await self.voice.short(self._prompt.asking(question), settings)
        picked = text_of(found).strip().strip('"')
        for option in options:
            if str(option) == picked:
                return option
        short = found.choices[0].finish_reason == "length" and most < CHOICE_TOKENS_MAX
        self.reason = StopReason.MAX_TOKENS if short else StopReason.MALFORMED_TOOL_USE
        return options[0]

    async def _call(self, box: Toolbox, tool: Tool, made: list[Made]) -> AsyncGenerator[Part, None]:
        """Its arguments, under the tool's own schema."""
        options = {**self._prompt.options, **_held(tool.name, tool.schema.held)}
        options.pop("stop", None)  # it is for words
        generation = await self._asked(self._prompt.asking(box.arguments(tool, made)), options)
        yield Opened()
        if generation is None:
            return
        yield Called(f"tooluse_{self._ids.word(ID_LETTERS, ALNUM)}", tool.name)
        text = ""
        async with aclosing(generation.texts()) as texts:
            async for piece in texts:
                text += piece
                yield Input(piece)
        reason = self._reason_of(generation)
        valid, found = _read(tool.schema, text)
        if not valid:
            cut = reason is not StopReason.END_TURN
            self.reason = reason if cut else StopReason.MALFORMED_TOOL_USE
        yield Ended(found if valid else None)
        made.append(Made(tool, json.dumps(found, ensure_ascii=False)))

    async def _reply(self, box: Toolbox | None) -> AsyncGenerator[Part, None]:
        prompt = self._prompt
        options = dict(prompt.options)
        if prompt.schema is not None:
            options |= _held("answer", prompt.schema.held)
        messages = prompt.messages if box is None else prompt.asking(box.reply())
        if prompt.begun and not self.voice.endpoint.local:
            raise unsupported(prompt.operation, "messages.role=assistant at the end, by this model")
        generation = await self._asked(messages, options)
        yield Opened()
        if generation is None:
            return
        text = ""
        async with aclosing(generation.texts(prompt.begun)) as texts:
            async for piece in texts:
                text += piece
                yield Text(piece)
        self.reason = self._reason_of(generation)
        ended = self.reason is StopReason.END_TURN
        if prompt.schema is not None and ended and not _read(prompt.schema, text)[0]:
            self.reason = StopReason.MALFORMED_MODEL_OUTPUT

    def _reason_of(self, generation: Generation) -> StopReason:
        """Raises UnknownEnd."""
        end = generation.end
        assert end is not None
        most = self._prompt.tokens_max
        before = self.voice.spent.written - end.usage.completion_tokens
        left = None if most is None else most - before
        found = stop_reason(end, left, local=self.voice.endpoint.local)
        if found is None:
            raise UnknownEnd(end)
        self.stop_sequence = end.stop_sequence
        return found

    def _is_spent(self) -> bool:
        """No room for a further choice. The calls that are whole stay."""
        left = self._tokens_left()
        return left is not None and left < CHOICE_TOKENS_MAX

    def _tokens_left(self) -> int | None:
        most = self._prompt.tokens_max
        return None if most is None else max(0, most - self.voice.spent.written)

    async def _asked(self, messages: Messages, options: Mapping[str, Any]) -> Generation | None:
        """None if there is no token left to answer with."""
        left = self._tokens_left()
        if left == 0:
            self.reason = StopReason.MAX_TOKENS
            return None
        bounded = options if left is None else {**options, "max_tokens": left}
        return await self.voice.ask(messages, bounded)


class UnknownEnd(Exception):
    """The engine ended its answer as no answer of words or calls can end."""

    def __init__(self, end: End) -> None:
        super().__init__(end.finish)


def one_of(options: Sequence[Any], *, local: bool) -> dict[str, Any]:
    """A bare word where the engine is ours: after the quotation mark of JSON, the same model says
    yes to what it declined."""
    if local:
        return {"grammar": "root ::= " + " | ".join(f'"{option}"' for option in options)}
    return _held("choice", {"enum": list(options)})


def _held(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    said = {"name": name, "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": said}}


def _read(schema: Schema, text: str) -> tuple[bool, Any]:
    """Whether the schema takes the value that the text is, and the value."""
    try:
        found = json.loads(text)
        return schema.accepts(found), found
    except (ValueError, RecursionError):
        return False, None

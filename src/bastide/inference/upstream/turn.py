"""One turn of a model beyond the walls: its events, in Converse's words, as parts of ours.

It calls tools by itself, so there are no steps of ours; what it says is taken as a stranger's.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

from bastide.inference.model import StopReason
from bastide.inference.turn import Called, Ended, Input, Opened, Part, Text
from bastide.inference.upstream.model import TOKENS_MAX
from bastide.inference.voice import Spent, heard
from bastide.kernel.errors import ServiceError

Params = Mapping[str, Any]
BROKEN = "The model's answer broke off. Try your request again."
BLOCKS_MAX = 256
CALL_ID = re.compile("[a-zA-Z0-9_-]{1,64}")
ANSWER_LETTERS_MAX = 8 << 20
EVENTS_MAX = 1 << 20
STOP_LETTERS_MAX = 4096


class Events(Protocol):
    """Of one answer, in the words of ConverseStream."""

    def __aiter__(self) -> AsyncIterator[Params]: ...

    def close(self) -> None:
        """End the answer."""
        ...


class Source(Protocol):
    async def events(self) -> Events:
        """Raises ServiceError before the first byte; after it, the events do."""
        ...


class UpstreamVoice:
    """What was heard of the answer, and the way to end it. What it wrote is told at its end: until
    then, and of an answer that breaks off, a piece is a token."""

    def __init__(self) -> None:
        self.events: Events | None = None
        self.spent = Spent()
        self.pieces = 0
        self.unheard = False

    def produced(self) -> Spent:
        return replace(self.spent, written=self.spent.written + self.pieces)

    def told(self, spent: Spent) -> None:
        self.spent, self.pieces = spent, 0

    def close(self) -> None:
        if self.events is not None:
            self.events.close()
            self.events = None


class UpstreamTurn:
    """`reason` and `stop_sequence` are there once its parts were read."""

    def __init__(self, source: Source, tools: Collection[str]) -> None:
        self._source, self._tools = source, tools
        self.voice = UpstreamVoice()
        self.reason: StopReason | None = None
        self.stop_sequence: str | None = None
        self._call: list[str] | None = None  # the input of the call that is under way, in pieces
        self._letters = self._blocks = self._events = 0

    async def parts(self) -> AsyncGenerator[Part, None]:
        events = self.voice.events = await heard(self.voice, self._source.events())
        yield Opened()
        try:
            async with aclosing(self._read(events)) as parts:
                async for part in parts:
                    yield part
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ServiceError("ModelStreamErrorException", BROKEN) from error
        finally:
            self.voice.close()
        if self.reason is None:
            raise ServiceError("ModelStreamErrorException", BROKEN)

    async def _read(self, events: Events) -> AsyncGenerator[Part, None]:
        async for event in events:
            ((name, value),) = event.items()
            self._events += 1
            if self._events > EVENTS_MAX:
                raise ValueError("the answer has no end")
            for part in self._parts(name, value):
                yield part

    def _parts(self, name: str, value: Params) -> list[Part]:
        match name:
            case "contentBlockStart":
                return self._start(value.get("start") or {})
            case "contentBlockDelta":
                return self._delta(value["delta"])
            case "contentBlockStop":
                return self._end()
            case "messageStop":
                reason = StopReason(value["stopReason"])
                self.reason = self.reason or reason  # a call that is none is known already
                beside = value.get("additionalModelResponseFields") or {}
                self.stop_sequence = _stopped_by(beside.get("stop_sequence"))
            case "metadata":
                self._use(value["usage"])
        return []

    def _start(self, start: Params) -> list[Part]:
        use = start.get("toolUse")
        if use is None:
            return []
        if use["name"] not in self._tools:
            raise ValueError("a tool that nobody offered")
        self._call = []
        return [Called(_id(use["toolUseId"]), use["name"])]

    def _delta(self, delta: Params) -> list[Part]:
        if "toolUse" in delta:
            piece = _text(delta["toolUse"].get("input", ""))
            self._count(piece)
            if self._call is None:
                raise ValueError("the input of no call")
            self._call.append(piece)
            return [Input(piece)] if piece else []
        text = _text(delta["text"]) if "text" in delta else ""  # its reasoning is not for callers
        self._count(text)
        return [Text(text)] if text else []

    def _end(self) -> list[Part]:
        self._blocks += 1
        if self._blocks > BLOCKS_MAX:
            raise ValueError("too many blocks")
        if self._call is None:
            return []
        text, self._call = "".join(self._call), None
        try:
            found = json.loads(text or "{}", parse_constant=_no_number)
            json.dumps(found, ensure_ascii=False).encode()  # half a character is none
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self.reason = StopReason.MALFORMED_TOOL_USE
            return [Ended(None)]
        return [Ended(found)]

    def _use(self, usage: Params) -> None:
        read, written = _tokens(usage["inputTokens"]), _tokens(usage["outputTokens"])
        self.voice.told(Spent(prompt=read, written=written))

    def _count(self, text: str) -> None:
        self._letters += len(text)
        self.voice.pieces += bool(text)
        if self._letters > ANSWER_LETTERS_MAX:
            raise ValueError("the answer is too large")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("it is no text")
    value.encode()  # half a character is none: a ValueError
    return value


def _stopped_by(value: Any) -> str | None:
    if value is None:
        return None
    if len(text := _text(value)) > STOP_LETTERS_MAX:
        raise ValueError("nobody asked it to stop there")
    return text


def _tokens(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= TOKENS_MAX:
        raise ValueError("it is no number of tokens")
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not of JSON")


def _id(value: Any) -> str:
    text = _text(value)
    if not CALL_ID.fullmatch(text):
        raise ValueError("it is no id of a call")
    return text

"""The engine's voice in one turn: all that it is asked goes to one place of one engine."""

from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from bastide.inference.engine_client import EngineClient, EngineStream, broken
from bastide.inference.model import Endpoint, Messages
from bastide.inference.replies import (
    Chunk,
    Completion,
    End,
    EndReader,
    Usage,
    end_of_completion,
    text_of,
)
from bastide.kernel.errors import ServiceError

T = TypeVar("T")


@dataclass(slots=True)
class Spent:
    """The tokens of a turn. Its steps share one prompt, which counts once."""

    prompt: int = 0
    cached: int = 0
    written: int = 0

    def add(self, usage: Usage) -> None:
        if not self.prompt:
            self.prompt, self.cached = usage.prompt_tokens, usage.cached
        self.written += usage.completion_tokens


class Voice:
    def __init__(self, client: EngineClient, endpoint: Endpoint, *, streams: bool) -> None:
        self._client, self.endpoint, self._streams = client, endpoint, streams
        self._stream: EngineStream | None = None
        self._asked = False
        self.spent = Spent()
        self.under_way: Usage | None = None  # of a stream that has not ended
        self.unheard = False

    async def ask(self, messages: Messages, options: Mapping[str, Any]) -> "Generation":
        """Raises ServiceError before the first byte; after it, the generation does."""
        if not self._streams:
            return Generation(self, whole=await self.short(messages, options))
        body = self._body(messages, options)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        if self.endpoint.local:  # so that what was produced is known, however it ends
            body["timings_per_token"] = True
        self.close()
        self._stream = await heard(self, self._client.stream(self.endpoint, body))
        return Generation(self, stream=self._stream)

    async def short(self, messages: Messages, options: Mapping[str, Any]) -> Completion:
        """An answer that is awaited whole, however the turn is read."""
        asked = self._client.complete(self.endpoint, self._body(messages, options))
        found = await heard(self, asked)
        self.add(found.usage)
        return found

    def add(self, usage: Usage) -> None:
        self.spent.add(usage)
        self.under_way = None

    def produced(self) -> Spent:
        """What the engine has done so far, also of an answer that broke off."""
        found = replace(self.spent)
        if self.under_way is not None:
            found.add(self.under_way)
        return found

    def close(self) -> None:
        """End what is being generated."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _body(self, messages: Messages, options: Mapping[str, Any]) -> dict[str, Any]:
        """What was asked before in this turn is this caller's own: the place may remember it."""
        endpoint = replace(self.endpoint, warm=self.endpoint.warm or self._asked)
        self._asked = True
        return body_of(endpoint, messages, options)


def body_of(endpoint: Endpoint, messages: Messages, options: Mapping[str, Any]) -> dict[str, Any]:
    """The engine's request. The place and its memory of the last prompt are ours to say."""
    body: dict[str, Any] = {"model": endpoint.model, "messages": messages, **options}
    if endpoint.slot is not None:
        body |= {"id_slot": endpoint.slot, "cache_prompt": endpoint.warm}
        if "stop" in options:  # the only way to hear which of them it was
            body["verbose"] = True
    return body


class Generation:
    """One answer of the engine. `end` is there once its texts were read."""

    def __init__(
        self, voice: Voice, *, stream: EngineStream | None = None, whole: Completion | None = None
    ) -> None:
        self._voice, self._stream, self._whole = voice, stream, whole
        self.end: End | None = None

    async def texts(self, begun: str = "") -> AsyncGenerator[str, None]:
        """What was written after `begun`, with which llama.cpp begins a whole answer, and no
        streamed one. Raises ServiceError when the stream breaks."""
        if self._whole is not None:
            self.end = end_of_completion(self._whole)
            if text := _after(begun, text_of(self._whole)):
                yield text
            return
        assert self._stream is not None
        reader = EndReader()
        async with aclosing(self._stream.chunks()) as chunks:
            async for chunk in chunks:
                self._follow(chunk)
                for choice in chunk.choices:
                    if choice.delta.content:
                        yield choice.delta.content
                reader.read(chunk)
        self.end = reader.end()
        if self.end is None:
            raise broken(EOFError())
        self._voice.add(self.end.usage)

    def _follow(self, chunk: Chunk) -> None:
        """An engine that does not count as it goes sends a token at a time."""
        if chunk.timings is not None:
            self._voice.under_way = chunk.timings.usage()
        elif any(choice.delta.content for choice in chunk.choices):
            before = self._voice.under_way or Usage(prompt_tokens=0)
            written = before.completion_tokens + 1
            self._voice.under_way = Usage(prompt_tokens=0, completion_tokens=written)


class Leavable(Protocol):
    """`unheard`: its caller went away while it worked, before a word of how far it had come."""

    unheard: bool


async def heard(voice: Leavable, asked: Awaitable[T]) -> T:
    """The answer; a caller that goes away meanwhile leaves the voice unheard."""
    voice.unheard = True
    try:
        found = await asked
    except ServiceError:  # the engine failed
        voice.unheard = False
        raise
    voice.unheard = False
    return found


def _after(begun: str, text: str) -> str:
    if not text.startswith(begun):
        raise broken(EOFError(), "ModelErrorException")
    return text.removeprefix(begun)

"""The content blocks of an answer as its parts arrive: whole, and as the events of a stream."""

import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from bastide.inference.turn import Called, Ended, Input, Part, Text

Event = dict[str, Any]


class Content:
    """`blocks` holds what is whole. A call that broke off, or does not fit its schema, is none."""

    def __init__(self) -> None:
        self.blocks: list[Event] = []
        self._index = 0
        self._text = ""
        self._called: Called | None = None

    def take(self, part: Part) -> list[Event]:
        """The events of a part."""
        return list(self._events_of(part))

    def end(self) -> list[Event]:
        """The events of the end."""
        return list(self._close())

    def _events_of(self, part: Part) -> Iterator[Event]:
        match part:
            case Text(text=text):
                self._text += text
                yield self._delta({"text": text})
            case Called(id=use_id, name=name):
                yield from self._close()
                self._called = part
                start = {"toolUse": {"toolUseId": use_id, "name": name}}
                yield self._event("contentBlockStart", start=start)
            case Input(json=text):
                yield self._delta({"toolUse": {"input": text}})
            case Ended(input=value):
                assert self._called is not None
                called, self._called = self._called, None
                if value is not None:
                    use = {"toolUseId": called.id, "name": called.name, "input": value}
                    self.blocks.append({"toolUse": use})
                yield self._stop()

    def _close(self) -> Iterator[Event]:
        """The end of a text that is open."""
        if self._text:
            self.blocks.append({"text": self._text})
            self._text = ""
            yield self._stop()

    def _delta(self, delta: Event) -> Event:
        return self._event("contentBlockDelta", delta=delta)

    def _stop(self) -> Event:
        event = self._event("contentBlockStop")
        self._index += 1
        return event

    def _event(self, name: str, **members: Any) -> Event:
        return {name: {**members, "contentBlockIndex": self._index}}


async def events_of(answer: Event) -> AsyncGenerator[Event, None]:
    """A whole answer of one text as a stream has it."""
    content = Content()
    yield {"messageStart": {"role": "assistant"}}
    for block in answer["output"]["message"]["content"]:
        for event in (*content.take(Text(block["text"])), *content.end()):
            yield event
    yield {"messageStop": {"stopReason": answer["stopReason"]}}
    yield {"metadata": {k: v for k, v in answer.items() if k not in ("output", "stopReason")}}


def said(block: Event) -> bytes:
    """The bytes that stand for a block of an answer in its receipt."""
    if "text" in block:
        text: str = block["text"]
        return text.encode("utf-8", "surrogatepass")
    text = json.dumps(block, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")

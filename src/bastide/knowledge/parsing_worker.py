"""What runs in the cage: one document in, its text out, or the reason why there is none."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from bastide.knowledge.parsing import text_of
from bastide.knowledge.reading import Unreadable


class Asked(msgspec.Struct, frozen=True):
    content: bytes
    name: str
    media_type: str


class Read(msgspec.Struct, frozen=True):
    text: str = ""
    reason: str = ""


def begin(settings: Mapping[str, Any]) -> Callable[[bytes], bytes]:
    def answer(question: bytes) -> bytes:
        asked = msgspec.msgpack.decode(question, type=Asked)
        try:
            read = Read(text=text_of(asked.content, asked.name, asked.media_type))
        except Unreadable as error:
            read = Read(reason=error.reason)
        return msgspec.msgpack.encode(read)

    return answer

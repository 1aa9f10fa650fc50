"""Documents are read in a cage: a process that reaches nothing, and that may be ended."""

from dataclasses import dataclass

import msgspec

from bastide.jobs.worker import Worker, WorkerFailed
from bastide.knowledge.parsing_worker import Asked, Read
from bastide.knowledge.reading import Unreadable

MODULE = "bastide.knowledge.parsing_worker"
TIMEOUT_S = 60.0
MEMORY_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class CagedReader:
    """`Reader`."""

    worker: Worker

    def read(self, content: bytes, name: str, media_type: str) -> str:
        asked = Asked(content=content, name=name, media_type=media_type)
        try:
            raw = self.worker.ask(msgspec.msgpack.encode(asked), TIMEOUT_S)
        except WorkerFailed as error:
            raise Unreadable(f"It could not be read: {error}.") from error
        read = msgspec.msgpack.decode(raw, type=Read)
        if read.reason:
            raise Unreadable(read.reason)
        return read.text

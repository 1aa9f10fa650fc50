"""Documents are read in a cage: a process that reaches nothing, and that may be ended.

What comes out of it is no more to be believed than what went in: a document may have taken the
reader over. So nobody's document meets another's there, and its answer is held to the bounds again.
"""

from dataclasses import dataclass, field

import msgspec

from bastide.jobs.worker import Worker, WorkerFailed
from bastide.kernel.errors import Unavailable
from bastide.kernel.shares import Sharer
from bastide.kernel.turns import Turns
from bastide.knowledge.parsing import TEXT_MAX
from bastide.knowledge.parsing_worker import Asked, Read
from bastide.knowledge.reading import Unreadable

MODULE = "bastide.knowledge.parsing_worker"
TIMEOUT_S = 60.0
MEMORY_BYTES = 2 << 30
REASON_MAX = 512
NO_ANSWER = "It could not be read: what reads it gave no answer."


@dataclass(frozen=True, slots=True, kw_only=True)
class CagedReader:
    """`Reader`. One document at a time: of those who wait, whoever was served longest ago."""

    worker: Worker
    timeout_s: float = TIMEOUT_S
    turns: Turns = field(default_factory=Turns)

    def read(self, content: bytes, name: str, media_type: str, *, whose: Sharer) -> str:
        asked = msgspec.msgpack.encode(Asked(content=content, name=name, media_type=media_type))
        try:
            with self.turns.turn(whose, TIMEOUT_S):
                raw = self.worker.ask(asked, self.timeout_s, whose=whose)
        except TimeoutError as error:
            raise Unavailable("what reads documents") from error
        except WorkerFailed as error:
            raise Unreadable(f"It could not be read: {error}.") from error
        return _believed(raw)


def _believed(raw: bytes) -> str:
    try:
        read = msgspec.msgpack.decode(raw, type=Read)
    except msgspec.DecodeError as error:
        raise Unreadable(NO_ANSWER) from error
    if read.reason:
        raise Unreadable(read.reason[:REASON_MAX])
    if not read.text.strip() or len(read.text) > TEXT_MAX:
        raise Unreadable(NO_ANSWER)
    return read.text.replace("\0", "")

"""Vectors of texts: a process for each embedding model, and whose turn it is to ask it.

One process works for all agencies, text by text. A long list of one is asked in small parts, and
between them each agency at each of its labels has its turn; nobody may wait with more than a share.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import msgspec

from bastide.inference.embedding_worker import Question, Reply
from bastide.jobs.worker import WorkerFailed
from bastide.kernel.call import Principal
from bastide.kernel.errors import ServiceError
from bastide.kernel.shares import Line
from bastide.kernel.turns import Turns
from bastide.models.model import ModelCard, ModelKind, NotAdmitted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)
TEXTS_PER_TURN = 8  # a second of one core, at most
LETTERS_MAX = 50_000  # of one text: what is read of it ends long before
ASK_S = 50.0  # AWS's clients give up after 60 s of silence
WAITING_MAX = 64
BUSY = "Too many requests, please wait before trying again."
FAILED = "The model failed to read the text. Try again."
NO_EMBEDDINGS = (
    "This action doesn't support the model that you provided. Try again with a supported embedding "
    "model."
)


class Process(Protocol):
    """`jobs.worker.Worker`: raises WorkerFailed."""

    def ask(self, question: bytes, timeout_s: float) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """`raw` is as the model gives it; `tokens` of each text, as read; `read_to`: the letters that
    were read of a text that was cut, -1 of one that was not."""

    raw: "Vectors"
    tokens: tuple[int, ...]
    read_to: tuple[int, ...]

    @property
    def unit(self) -> "Vectors":
        """Of length 1, so that a product is a cosine."""
        import numpy as np

        lengths = np.linalg.norm(self.raw, axis=1, keepdims=True)
        return np.asarray(self.raw / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)

    def cut(self, dimensions: int) -> "Embedded":
        """The first numbers of each."""
        return replace(self, raw=self.raw[:, :dimensions])


@dataclass(slots=True, kw_only=True, eq=False)
class _Running:
    process: Process
    turns: Turns = field(default_factory=Turns)


@dataclass(slots=True, kw_only=True)
class Embedder:
    """Safe to use from many threads. `launch` starts the process of a card whose files were checked
    (raises NotAdmitted, as `shelf.verify` does)."""

    launch: Callable[[ModelCard], Process]
    _running: dict[str, _Running] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _line: Line = field(default_factory=lambda: Line(WAITING_MAX))

    def embed(self, who: Principal, card: ModelCard, texts: Sequence[str]) -> "Vectors":
        """n by `card.dimensions`, each of length 1. Raises ServiceError."""
        return self.embedded(who, card, texts).unit

    def embedded(
        self, who: Principal, card: ModelCard, texts: Sequence[str], *, keep_end: bool = False
    ) -> Embedded:
        """ValidationException where the model is another kind; Throttling- and
        ModelErrorException."""
        if card.kind is not ModelKind.EMBEDDING:
            raise ServiceError("ValidationException", NO_EMBEDDINGS)
        try:
            with self._line.place(who.whose):
                running = self._of(card)
                replies = [
                    _asked(running, who.whose, Question(texts=part, keep_end=keep_end))
                    for part in _parts(texts)
                ]
        except TimeoutError:
            raise ServiceError("ThrottlingException", BUSY) from None
        return _joined(replies, card.dimensions)

    def close(self) -> None:
        with self._lock:
            for running in self._running.values():
                running.process.close()
            self._running.clear()

    def _of(self, card: ModelCard) -> _Running:
        with self._lock:
            running = self._running.get(card.sha256)
            if running is None:
                try:
                    running = _Running(process=self.launch(card))
                except NotAdmitted as error:
                    logger.error("%s is not run: %s", card.name, error)
                    raise ServiceError("ModelErrorException", FAILED) from error
                self._running[card.sha256] = running
            return running


def _asked(running: _Running, whose: str, question: Question) -> Reply:
    """TimeoutError where its turn did not come."""
    try:
        with running.turns.turn(whose, ASK_S):
            raw = running.process.ask(msgspec.msgpack.encode(question), ASK_S)
    except WorkerFailed as error:
        raise ServiceError("ModelErrorException", FAILED) from error
    return msgspec.msgpack.decode(raw, type=Reply)


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), TEXTS_PER_TURN):
        yield [_readable(text) for text in texts[start : start + TEXTS_PER_TURN]]


def _readable(text: str) -> str:
    """Half a surrogate pair is no text to a tokenizer."""
    return text[:LETTERS_MAX].encode("utf-8", "replace").decode()


def _joined(replies: list[Reply], dimensions: int) -> Embedded:
    import numpy as np

    data = b"".join(reply.vectors for reply in replies)
    return Embedded(
        raw=np.frombuffer(data, "<f4").reshape(-1, dimensions),
        tokens=tuple(n for reply in replies for n in reply.tokens),
        read_to=tuple(n for reply in replies for n in reply.read_to),
    )

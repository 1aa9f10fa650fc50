"""InvokeModel of models that make vectors."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

from bastide.audit.receipts import Model, Receipts
from bastide.inference.dialects import embedding_bodies
from bastide.inference.dialects.dialect import Answered, Whole
from bastide.inference.embedder import Embedder
from bastide.inference.quotas import Quotas
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import invalid
from bastide.models.model import ModelCard, ModelKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """`WholeCalls` of InvokeModel. What it is asked to read is committed to by InvokeModel itself,
    as the body that was sent."""

    embedder: Embedder
    clock: Clock
    receipts: Receipts
    quotas: Quotas

    def takes(self, named: str, card: ModelCard) -> bool:
        return card.kind is ModelKind.EMBEDDING or embedding_bodies.is_family(named)

    async def answer(self, call: Call, whole: Whole) -> Answered:
        started, card = self.clock.monotonic_s(), whole.card
        reading = embedding_bodies.read(whole, call.request_id)
        embedding_bodies.check_dimensions(whole, reading.dimensions)
        ticket = self.quotas.admit(call, card, letters=sum(map(len, reading.texts)), written_max=0)
        with ExitStack() as undo:
            undo.callback(ticket.settle, 0)
            found = await asyncio.to_thread(
                self.embedder.embedded,
                call.principal,
                card,
                reading.texts,
                keep_end=reading.cut in ("START", "LEFT"),
            )
            undo.pop_all()
        ticket.settle(sum(found.tokens))
        if reading.cut == "NONE" and max(found.read_to) >= 0:
            message = f"A text is longer than {card.context_tokens} tokens, and truncation is NONE."
            raise invalid(message)
        tokens = sum(found.tokens)
        self._told(call, card, tokens, started)
        return Answered(body=reading.say(found), input_tokens=tokens)

    def _told(self, call: Call, card: ModelCard, tokens: int, started: float) -> None:
        call.notes.headers["x-bastide-model"] = card.model_id
        call.notes.audit |= {
            "model": card.model_id,
            "model_sha256": card.sha256,
            "input_tokens": str(tokens),
        }
        model = Model(name=card.model_id, digest=f"sha256:{card.sha256}", cores=1)
        draft = self.receipts.begin(call, model, b"")
        draft.end(self.clock.monotonic_s() - started, (tokens, 0))
        draft.promise()

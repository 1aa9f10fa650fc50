"""Vectors for a call: within its agency's quotas, told to the audit log, promised a receipt."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bastide.audit.receipts import Model, Receipts
from bastide.inference.embedder import Embedded, Embedder
from bastide.inference.ports import Threads
from bastide.inference.quotas import Quotas
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import invalid
from bastide.models.model import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`whole`: a text that is too long is refused, not cut; else its end is kept if `keep_end`.
    `prompt` is what the receipt says was asked."""

    texts: Sequence[str]
    whole: bool = False
    keep_end: bool = False
    prompt: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    embedder: Embedder
    clock: Clock
    receipts: Receipts
    quotas: Quotas
    threads: Threads

    async def of(
        self, call: Call, card: ModelCard, asked: Asked, answer: Callable[[Embedded], bytes]
    ) -> Embedded:
        """Raises ServiceError. `answer`: what the receipt says was answered."""
        started = self.clock.monotonic_s()
        letters = sum(map(len, asked.texts))
        ticket = self.quotas.admit(call, card, letters=letters, written_max=0)
        with ExitStack() as undo:
            undo.callback(ticket.settle, 0)
            found = await self.threads.run(
                call.whose, self.embedder.embedded,
                call.principal, card, asked.texts, keep_end=asked.keep_end,
            )  # fmt: skip
            undo.pop_all()
        tokens = sum(found.tokens)
        ticket.settle(tokens)
        if asked.whole and max(found.read_to) >= 0:
            raise invalid(f"A text is longer than {card.context_tokens} tokens: more is not read.")
        call.notes.headers["x-bastide-model"] = card.model_id
        call.notes.audit |= {
            "model": card.model_id,
            "model_sha256": card.sha256,
            "input_tokens": str(tokens),
        }
        model = Model(name=card.model_id, digest=f"sha256:{card.sha256}", cores=1)
        draft = self.receipts.begin(call, model, asked.prompt)
        draft.add(answer(found))
        draft.end(self.clock.monotonic_s() - started, (tokens, 0))
        draft.promise()
        return found

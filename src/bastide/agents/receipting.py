"""The receipt of a turn: which model of an agent answered whom, at which label, and hashes of what
was asked and answered. The prompt is the text of the request, the answer its text; of a control
that returns or is given back, the JSON of that, its keys sorted, without blanks.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from bastide.agents.asked import Asked
from bastide.agents.ports import ModelCard
from bastide.audit.receipts import NOT_OURS, Draft, Model, Receipts
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock

Params = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipting:
    """`cores`: that work for a model of this region."""

    receipts: Receipts
    cores: float
    clock: Clock

    def begun(self, call: Call, card: ModelCard, req: Params, state: Mapping[str, Any]) -> Draft:
        digest = f"sha256:{card.sha256}" if card.sha256 else NOT_OURS
        model = Model(name=card.model_id, digest=digest, cores=0 if card.remote else self.cores)
        results = state.get("returnControlInvocationResults")
        said = plain(results) if results else str(req.get("inputText") or "").encode(*_LENIENT)
        return self.receipts.begin(call, model, said)

    async def kept(
        self, asked: Asked, events: AsyncIterator[Params]
    ) -> AsyncGenerator[Params, None]:
        """The same events. Whatever ends them, what was told by then is in the receipt, if a model
        was asked."""
        draft, audit = asked.draft, asked.call.notes.audit
        started = self.clock.monotonic_s()
        try:
            async with aclosing(events) as source:  # type: ignore[type-var]  # it is a generator
                async for event in source:
                    if draft is not None:
                        draft.add(_told(event))
                    yield event
        finally:
            tokens = int(audit.get("input_tokens", "0")), int(audit.get("output_tokens", "0"))
            if draft is not None and any(tokens):
                draft.end(self.clock.monotonic_s() - started, tokens)


_LENIENT = ("utf-8", "replace")


def _told(event: Mapping[str, Any]) -> bytes:
    if "chunk" in event:
        return bytes(event["chunk"]["bytes"])
    return plain(event["returnControl"]) if "returnControl" in event else b""


def plain(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(*_LENIENT)

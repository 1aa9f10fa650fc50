"""A yes or a no of a model, for the region's own purposes: at a session's label, in its agency's
share of places, and with no guardrail of its own."""

import asyncio
from dataclasses import dataclass

from bastide.inference.engine_client import EngineClient
from bastide.inference.engines import Engines
from bastide.inference.quotas import Quotas
from bastide.inference.replies import text_of
from bastide.inference.tools import NO, YES
from bastide.inference.turn import CHOICE_TOKENS_MAX, one_of
from bastide.inference.voice import Voice
from bastide.kernel.call import Principal
from bastide.kernel.errors import ServiceError
from bastide.models.catalogue import Models
from bastide.models.model import ModelKind

NO_MODEL = "The model that is to say yes or no is not there."
NO_WORD = "The model said neither yes nor no."


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWord:
    models: Models
    engines: Engines
    client: EngineClient
    quotas: Quotas

    async def is_yes(
        self, who: Principal, model_id: str, system: str, question: str, *, timeout_s: float
    ) -> bool:
        """Raises ServiceError. The tokens are the agency's, whatever it has left."""
        card = self.models.resolve(model_id, who.session, who.account)
        if card is None or card.kind is not ModelKind.TEXT:
            raise ServiceError("ModelNotReadyException", NO_MODEL)
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": question},
        ]
        try:
            async with asyncio.timeout(timeout_s):
                async with await self.engines.acquire(card, who.account, who.session.text) as lease:
                    voice = Voice(self.client, lease.endpoint, streams=False)
                    form = one_of((NO, YES), local=lease.endpoint.local)
                    settings = {"temperature": 0.0, "max_tokens": CHOICE_TOKENS_MAX, **form}
                    try:
                        said = text_of(await voice.short(messages, settings)).strip().strip('"')
                    finally:
                        spent = voice.produced()
                        self.quotas.charge(who, card, spent.prompt + spent.written)
        except TimeoutError as error:
            raise ServiceError("ModelTimeoutException", NO_WORD) from error
        if said not in (YES, NO):
            raise ServiceError("ModelErrorException", NO_WORD)
        return said == YES

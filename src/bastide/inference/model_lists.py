"""bedrock-mantle: ListModels and RetrieveModel, as OpenAI lists models."""

from dataclasses import dataclass
from typing import Any

from bastide.inference.retelling import find_model
from bastide.kernel.call import Call
from bastide.kernel.operation import operation
from bastide.models.catalogue import Models
from bastide.models.model import ModelCard

Params = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLists:
    models: Models

    @operation()
    def list_models(self, call: Call, req: Params) -> Params:
        """An alias is listed too: it is how the model may be called."""
        served = self.models.served(call.principal.session, call.account)
        shown = [_shown(name, card) for name, card in served.items()]
        return {"body": {"object": "list", "data": shown}}

    @operation("model")
    def retrieve_model(self, call: Call, req: Params) -> Params:
        card = find_model(self.models, call, req["model"])
        return {"body": _shown(req["model"], card)}


def _shown(name: str, card: ModelCard) -> Params:
    created = (card.admitted_ms or 0) // 1000
    return {"id": name, "object": "model", "created": created, "owned_by": card.provider}

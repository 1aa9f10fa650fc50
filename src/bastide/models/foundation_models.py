"""bedrock: the models that can be called, as AWS lists them.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html
"""

from dataclasses import dataclass
from typing import Any

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.models import naming
from bastide.models.catalogue import INVALID_MODEL, Models
from bastide.models.model import ModelCard, ModelKind

Params = dict[str, Any]
OUTPUT = {ModelKind.TEXT: "TEXT", ModelKind.EMBEDDING: "EMBEDDING"}
NOT_FOUND = "Could not resolve the foundation model from the provided model identifier."


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundationModels:
    models: Models

    @operation("byProvider", "byOutputModality", "byInferenceType", "byCustomizationType")
    def list_foundation_models(self, call: Call, req: Params) -> Params:
        """An alias is listed too, under the true model's name and provider."""
        if "byCustomizationType" in req:  # none can be customized
            return {"modelSummaries": []}
        if req.get("byInferenceType", "ON_DEMAND") != "ON_DEMAND":
            return {"modelSummaries": []}
        served = self.models.served(call.principal.session, call.account)
        provider, modality = req.get("byProvider", "").lower(), req.get("byOutputModality")
        return {
            "modelSummaries": [
                _summary(call, model_id, card)
                for model_id, card in served.items()
                if not provider or card.provider.lower() == provider
                if modality in (None, OUTPUT[card.kind])
            ]
        }

    @operation("modelIdentifier")
    def get_foundation_model(self, call: Call, req: Params) -> Params:
        name = naming.bare(req["modelIdentifier"], call.region, call.account)
        if name is None or not naming.is_model_id(name):
            raise ServiceError("ValidationException", INVALID_MODEL)
        card = self.models.served(call.principal.session, call.account).get(name)
        if card is None:
            raise ServiceError("ResourceNotFoundException", NOT_FOUND)
        return {"modelDetails": _summary(call, name, card)}


def _summary(call: Call, model_id: str, card: ModelCard) -> Params:
    lifecycle: Params = {"status": "ACTIVE"}
    if card.admitted_ms is not None:
        lifecycle["startOfLifeTime"] = moment(card.admitted_ms)
    return {
        "modelArn": naming.model_arn(call.region, model_id),
        "modelId": model_id,
        "modelName": card.title,
        "providerName": card.provider,
        "inputModalities": ["TEXT"],
        "outputModalities": [OUTPUT[card.kind]],
        "responseStreamingSupported": card.kind is ModelKind.TEXT,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": lifecycle,
    }

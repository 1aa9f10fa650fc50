"""bedrock: system-defined inference profiles. There is one for each id that is served.

Here a profile routes to the one region that there is; the ids exist because clients send them.
Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetInferenceProfile.html
"""

import re
from dataclasses import dataclass
from typing import Any

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.models import naming
from bastide.models.catalogue import Models
from bastide.models.model import ModelCard

Params = dict[str, Any]
PAGE_MAX = 1000
NOT_FOUND = "The provided inference profile identifier could not be found."


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceProfiles:
    models: Models

    @operation("maxResults", "nextToken", "typeEquals")
    def list_inference_profiles(self, call: Call, req: Params) -> Params:
        if req.get("typeEquals", "SYSTEM_DEFINED") != "SYSTEM_DEFINED":
            return {"inferenceProfileSummaries": []}
        after = req.get("nextToken", "")  # sealed where it leaves (`wire/page_tokens.py`)
        size = req.get("maxResults", PAGE_MAX)
        rest = [(name, card) for name, card in self._profiles(call) if name > after]
        page = [_profile(call, name, card) for name, card in rest[:size]]
        answer: Params = {"inferenceProfileSummaries": page}
        if len(rest) > size:
            answer["nextToken"] = rest[size - 1][0]
        return answer

    @operation("inferenceProfileIdentifier")
    def get_inference_profile(self, call: Call, req: Params) -> Params:
        name = naming.bare(req["inferenceProfileIdentifier"], call.region, call.account)
        if name is not None and naming.without_profile(name) is not None:
            card = self.models.resolve(name, call.principal.session)
            if card is not None:
                return _profile(call, name, card)
        raise ServiceError("ResourceNotFoundException", NOT_FOUND)

    def _profiles(self, call: Call) -> list[tuple[str, ModelCard]]:
        prefix = naming.profile_prefix(call.region)
        found = {}
        for model_id, card in self.models.served(call.principal.session).items():
            inside = naming.without_profile(model_id)
            found[model_id if inside is not None else f"{prefix}.{model_id}"] = card
        return sorted(found.items(), key=lambda item: item[0])


def _profile(call: Call, name: str, card: ModelCard) -> Params:
    """Names and descriptions keep to the letters that the service model allows."""
    inside = naming.without_profile(name) or name
    prefix = name.partition(".")[0].upper()
    title = re.sub(r"[^0-9A-Za-z]+", " ", card.title).strip()
    made: Params = {
        "inferenceProfileName": f"{prefix} {title}",
        "description": f"Routes requests to {title} in {call.region.name}",
        "inferenceProfileArn": naming.profile_arn(call.region, call.account, name),
        "models": [{"modelArn": naming.model_arn(call.region, inside)}],
        "inferenceProfileId": name,
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }
    if card.admitted_ms is not None:
        admitted = moment(card.admitted_ms)
        made |= {"createdAt": admitted, "updatedAt": admitted}
    return made

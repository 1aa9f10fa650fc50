"""bedrock: inference profiles. A system-defined one is there for each id that is served; agencies
make others of their own (`application_profiles.py`).

Here a profile routes to the one region that there is; the ids exist because clients send them.
Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetInferenceProfile.html
"""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import invalid
from bastide.kernel.operation import operation
from bastide.models import naming
from bastide.models.application_profiles import ApplicationProfiles, not_found
from bastide.models.catalogue import Models
from bastide.models.model import ModelCard
from bastide.models.records import Profile

Params = dict[str, Any]
PAGE_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceProfiles:
    models: Models
    own: ApplicationProfiles

    @operation(
        "inferenceProfileName", "description", "clientRequestToken", "modelSource.copyFrom", "tags"
    )
    def create_inference_profile(self, call: Call, req: Params) -> Params:
        """Of a model, or of a system-defined profile: not of another of the agency's own."""
        source = req["modelSource"].get("copyFrom", "")
        if self.own.find(call.principal, source) is not None:
            raise invalid("An application inference profile cannot be copied.")
        self.models.called(call, source)  # or ValidationException
        made = self.own.add(call, req, source)
        call.notes.label = made.label
        return {
            "inferenceProfileArn": self.own.arn(made.account, made.id),
            "status": "ACTIVE",
        }

    @operation("maxResults", "nextToken", "typeEquals")
    def list_inference_profiles(self, call: Call, req: Params) -> Params:
        """The system-defined ones, where `typeEquals` says nothing, as AWS does."""
        after = req.get("nextToken", "")  # sealed where it leaves (`wire/page_tokens.py`)
        size = req.get("maxResults", PAGE_MAX)
        rest: list[tuple[str, Params]]
        if req.get("typeEquals", "SYSTEM_DEFINED") == "APPLICATION":
            found = self.own.page(call.principal, after, size + 1)
            rest = [(one.id, self._application(call, one)) for one in found]
        else:
            seen = ((name, card) for name, card in self._profiles(call) if name > after)
            rest = [(name, _profile(call, name, card)) for name, card in islice(seen, size + 1)]
        answer: Params = {"inferenceProfileSummaries": [shown for _, shown in rest[:size]]}
        if len(rest) > size:
            answer["nextToken"] = rest[size - 1][0]
        return answer

    @operation("inferenceProfileIdentifier")
    def get_inference_profile(self, call: Call, req: Params) -> Params:
        identifier = req["inferenceProfileIdentifier"]
        own = self.own.find(call.principal, identifier)
        if own is not None:
            call.notes.label = own.label
            return self._application(call, own)
        name = naming.bare(identifier, call.region, call.account)
        if name is not None and naming.without_profile(name) is not None:
            card = self.models.resolve(name, call.principal.session, call.account)
            if card is not None:
                return _profile(call, name, card)
        raise not_found()

    @operation("inferenceProfileIdentifier")
    def delete_inference_profile(self, call: Call, req: Params) -> Params:
        self.own.remove(call, req["inferenceProfileIdentifier"])
        return {}

    def _application(self, call: Call, one: Profile) -> Params:
        made = moment(one.created_ms)
        inside = naming.bare(one.source, call.region, call.account) or one.source
        model = naming.without_profile(inside) or inside
        shown: Params = {
            "inferenceProfileName": one.name,
            "inferenceProfileArn": self.own.arn(one.account, one.id),
            "models": [{"modelArn": naming.model_arn(call.region, model)}],
            "inferenceProfileId": one.id,
            "status": "ACTIVE",
            "type": "APPLICATION",
            "createdAt": made,
            "updatedAt": made,
        }
        return shown | ({"description": one.description} if one.description else {})

    def _profiles(self, call: Call) -> list[tuple[str, ModelCard]]:
        prefix = naming.profile_prefix(call.region)
        found = {}
        for model_id, card in self.models.served(call.principal.session, call.account).items():
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

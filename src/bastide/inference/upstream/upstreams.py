"""The models beyond the walls, at a call: whether this prompt may leave, and the way out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bastide.inference.engine_client import EngineClient
from bastide.inference.model import Endpoint
from bastide.inference.upstream.anthropic import AnthropicSource
from bastide.inference.upstream.bedrock import BedrockSource
from bastide.inference.upstream.model import Egress, Kind
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.models.catalogue import INVALID_MODEL
from bastide.models.model import ModelCard

LEFT_FOR = "left_for"  # in the audit record: where the prompt went


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstreams:
    egress: Egress = field(default_factory=Egress)

    def has(self, card: ModelCard) -> bool:
        return card.remote and card.model_id in self.egress.upstreams

    def check(self, call: Call, card: ModelCard) -> None:
        """The catalogue has asked the same: here it is asked again, just before the prompt leaves.
        Raises ValidationException, as for a model that is not there."""
        if not self.has(card):
            return
        if not self.egress.lets(call.account, call.principal.session, card.model_id):
            raise ServiceError("ValidationException", INVALID_MODEL)
        upstream = self.egress.upstreams[card.model_id]
        call.notes.audit[LEFT_FOR] = f"{upstream.kind} {urlsplit(upstream.url).netloc}"

    def source(
        self, client: EngineClient, endpoint: Endpoint, card: ModelCard, said: Mapping[str, Any]
    ) -> BedrockSource | AnthropicSource:
        upstream = self.egress.upstreams[card.model_id]
        if upstream.kind is Kind.BEDROCK:
            return BedrockSource(client=client, endpoint=endpoint, upstream=upstream, said=said)
        return AnthropicSource(client=client, endpoint=endpoint, upstream=upstream, said=said)

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
        """The catalogue has asked the same. Raises ValidationException, as for a model that is not
        there."""
        if not self.has(card):
            return
        if not self.egress.lets(call.account, call.principal.session, card.model_id):
            raise ServiceError("ValidationException", INVALID_MODEL)

    def source(
        self,
        call: Call,
        card: ModelCard,
        *,
        client: EngineClient,
        endpoint: Endpoint,
        said: Mapping[str, Any],
    ) -> BedrockSource | AnthropicSource:
        """The way out, for a prompt that goes it now: it is asked again whether it may, and the
        audit record says where to. Raises ValidationException."""
        self.check(call, card)
        upstream = self.egress.upstreams[card.model_id]
        call.notes.audit[LEFT_FOR] = f"{upstream.kind} {urlsplit(upstream.url).netloc}"
        if upstream.kind is Kind.BEDROCK:
            return BedrockSource(client=client, endpoint=endpoint, upstream=upstream, said=said)
        return AnthropicSource(client=client, endpoint=endpoint, upstream=upstream, said=said)

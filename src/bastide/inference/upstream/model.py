"""What a region asks beyond its walls, and who of it may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bastide.kernel.labels.label import Label

ANY = "*"
TOKENS_MAX = (1 << 31) - 1  # as the model of AWS has it


class Kind(StrEnum):
    BEDROCK = "bedrock"
    ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """`key`: Anthropic's API key, or the lines of AWS credentials: access key id, secret access
    key, and a session token if there is one. `region`: what requests to Bedrock are signed for."""

    kind: Kind
    url: str
    model: str
    key: str = field(repr=False)
    region: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRule:
    """Prompts of `agency` (or of any) up to that label may leave for these upstreams."""

    agency: str
    up_to: Label
    models: tuple[str, ...]

    def lets(self, account: str, session: Label, model_id: str) -> bool:
        if self.agency not in (ANY, account) or not {ANY, model_id} & set(self.models):
            return False
        return self.up_to.dominates(session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """A prompt is of its session's label, which dominates all that it was made of. What no rule
    lets out stays; for who may not send to it, a model beyond the walls is not there."""

    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    rules: Sequence[EgressRule] = ()

    def lets(self, account: str, session: Label, model_id: str) -> bool:
        """True for a model that is inside."""
        if model_id not in self.upstreams:
            return True
        return any(rule.lets(account, session, model_id) for rule in self.rules)

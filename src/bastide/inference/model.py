"""The plain data of engines and answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTask:
    """How engines of this region are run; from bastide.toml. `reservable_mib`: by label."""

    memory_budget_mib: int = 4096
    reservable_mib: Mapping[str, int] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)  # the most, by card name or model id
    threads: int = 1
    slots: int = 4
    context_tokens: int = 8192
    load_timeout_s: float = 300.0
    hung_after_s: float = 60.0
    turn_s: float = 20.0  # before an engine yields its room: several wait within load_timeout_s
    queue_timeout_s: float = 50.0  # AWS's clients give up after 60 s of silence


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteEngine:
    """An OpenAI-compatible server that somebody else runs; `url` ends in `/v1`, and so does each of
    the `further_urls`, which run the same. `ca_file` vouches for it in place of the machine's own
    authorities. `tokens_at_once`: what the requests to one of them may come to; None: no limit."""

    url: str
    model: str
    key: str = ""
    ca_file: str = ""
    further_urls: tuple[str, ...] = ()
    tokens_at_once: int | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        return self.url, *self.further_urls


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one request goes: over `socket` when that is set, to one of our own engines. `slot` is
    the place in it that the request is given; `warm` says that this place last worked for the same
    agency."""

    url: str
    key: str
    model: str
    socket: str = ""
    ca_file: str = ""
    slot: int | None = None
    warm: bool = False

    @property
    def local(self) -> bool:
        return bool(self.socket)


class StopReason(StrEnum):
    END_TURN = "end_turn"
    TOOL_USE = "tool_use"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    CONTENT_FILTERED = "content_filtered"
    GUARDRAIL_INTERVENED = "guardrail_intervened"
    MALFORMED_TOOL_USE = "malformed_tool_use"
    MALFORMED_MODEL_OUTPUT = "malformed_model_output"
    CONTEXT_FULL = "model_context_window_exceeded"

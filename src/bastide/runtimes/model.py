"""An agent runtime as it is kept, its versions and endpoints, and the sessions that run now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Params = dict[str, Any]
SERVICE = "bedrock-agentcore.amazonaws.com"
DEFAULT = "DEFAULT"  # the endpoint that every runtime has; it follows the newest version
READY = "READY"
IDLE_DEFAULT_S = 900
LIFETIME_DEFAULT_S = 28_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    account: str
    id: str
    label: str
    name: str
    latest: int  # the number of its newest version
    created_ms: int
    updated_ms: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """`asked` is what CreateAgentRuntime or UpdateAgentRuntime was given; `code` what was found at
    the place that it names: its `sha256` and `size`."""

    account: str
    runtime_id: str
    number: int
    label: str
    created_ms: int
    asked: Mapping[str, Any]
    code: Mapping[str, Any]

    @property
    def idle_s(self) -> int:
        return int(self._lifecycle.get("idleRuntimeSessionTimeout") or IDLE_DEFAULT_S)

    @property
    def lifetime_s(self) -> int:
        return int(self._lifecycle.get("maxLifetime") or LIFETIME_DEFAULT_S)

    @property
    def _lifecycle(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.asked.get("lifecycleConfiguration") or {}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    account: str
    runtime_id: str
    name: str
    label: str
    id: str
    version: int
    created_ms: int
    updated_ms: int
    description: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKey:
    """A session is of one agency, runtime, endpoint and label: with another of these, the same id
    is another session."""

    account: str
    runtime_id: str
    endpoint: str
    id: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One process. It keeps the version that it began with. `token` is for its door's keys."""

    key: SessionKey
    version: int
    job_id: str
    token: str
    started_ms: int

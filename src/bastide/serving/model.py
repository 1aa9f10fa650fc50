"""What an endpoint is: variants that run as service jobs, and how far each deployment is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EndpointStatus(StrEnum):
    CREATING = "Creating"
    IN_SERVICE = "InService"
    UPDATING = "Updating"
    FAILED = "Failed"
    DELETING = "Deleting"


Key = tuple[str, str, str]  # of an endpoint: account, name, label


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A model or an endpoint configuration, as it was asked for."""

    account: str
    name: str
    label: str
    arn: str
    created_ms: int
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One production variant of a deployment: `payload` is its job's, complete in itself, so
    that deleting the model or the configuration afterwards changes nothing."""

    name: str
    weight: float
    count: int
    job_id: str
    image: str
    cpus: float
    memory_bytes: int
    ready_timeout_s: int
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The variants of one endpoint configuration, as they run."""

    config: str
    variants: tuple[Variant, ...]

    @property
    def job_ids(self) -> frozenset[str]:
        return frozenset(each.job_id for each in self.variants)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`live` answers; `next` is being brought up; `old` is being taken down."""

    account: str
    name: str
    label: str
    arn: str
    status: EndpointStatus
    created_ms: int
    changed_ms: int
    failure: str = ""
    live: Deployment | None = None
    next: Deployment | None = None
    old: tuple[str, ...] = field(default_factory=tuple)  # job ids
    policy: Mapping[str, Any] | None = None  # the DeploymentConfig that was asked for last

    @property
    def key(self) -> Key:
        return self.account, self.name, self.label

"""Knowledge bases, their sources, jobs and documents, as frozen data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Params = dict[str, Any]
SERVICE = "bedrock.amazonaws.com"
Attributes = Mapping[str, Any]  # of a document: text, number, truth or a list of texts


class BaseStatus(StrEnum):
    ACTIVE = "ACTIVE"
    DELETING = "DELETING"


class SourceStatus(StrEnum):
    AVAILABLE = "AVAILABLE"
    DELETING = "DELETING"


class JobStatus(StrEnum):
    STARTING = "STARTING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"


ENDED = frozenset({JobStatus.COMPLETE, JobStatus.FAILED, JobStatus.STOPPED})


class DocumentStatus(StrEnum):
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    INDEXED = "INDEXED"
    FAILED = "FAILED"
    DELETING = "DELETING"
    NOT_FOUND = "NOT_FOUND"  # only ever answered


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRow:
    """A knowledge base. `request` is what it was made or last changed with."""

    account: str
    id: str
    name: str
    label: str
    arn: str
    status: BaseStatus
    created_ms: int
    updated_ms: int
    request: Mapping[str, Any]

    @property
    def role_arn(self) -> str:
        return str(self.request["roleArn"])

    @property
    def model(self) -> tuple[str, int | None]:
        """The embedding model, and how many dimensions were asked for."""
        vector = self.request["knowledgeBaseConfiguration"]["vectorKnowledgeBaseConfiguration"]
        asked = vector.get("embeddingModelConfiguration") or {}
        dimensions = (asked.get("bedrockEmbeddingModelConfiguration") or {}).get("dimensions")
        return str(vector["embeddingModelArn"]), dimensions


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where documents of a knowledge base come from."""

    account: str
    base: str
    id: str
    name: str
    label: str
    status: SourceStatus
    created_ms: int
    updated_ms: int
    request: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.request["dataSourceConfiguration"]["type"])

    @property
    def chunking(self) -> Mapping[str, Any]:
        ingestion = self.request.get("vectorIngestionConfiguration") or {}
        return ingestion.get("chunkingConfiguration") or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a job did, counted as it did it."""

    scanned: int = 0
    sidecars_scanned: int = 0
    new: int = 0
    modified: int = 0
    sidecars_modified: int = 0
    deleted: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One ingestion. It works at `label`: that of the session that started it."""

    account: str
    base: str
    source: str
    id: str
    label: str
    status: JobStatus
    started_ms: int
    updated_ms: int
    description: str = ""
    statistics: Statistics = field(default_factory=Statistics)
    failures: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document at one label. `uri` is its S3 URI or the caller's own id; `job` is the job that
    handled it last. `digest` and `sidecar` are those of its content and of its attributes."""

    account: str
    base: str
    source: str
    uri: str
    label: str
    kind: str
    status: DocumentStatus
    updated_ms: int
    reason: str = ""
    digest: str = ""
    sidecar: str = ""
    job: str = ""

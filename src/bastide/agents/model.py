"""An agent as it is kept: what it was asked to be, its parts, its versions, its aliases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Params = dict[str, Any]
DRAFT = "DRAFT"
INLINE = "INLINE"  # in the place of an agent's id, which has ten characters
TEST_ALIAS = "TSTALIASID"  # AWS's own: it always routes to the draft
SERVICE = "bedrock.amazonaws.com"
TTL_DEFAULT_S = 600


class Status(StrEnum):
    NOT_PREPARED = "NOT_PREPARED"
    PREPARED = "PREPARED"
    FAILED = "FAILED"


class Part(StrEnum):
    """What belongs to an agent's draft, and is copied into each version."""

    ACTION_GROUP = "action-group"
    KNOWLEDGE_BASE = "knowledge-base"
    COLLABORATOR = "collaborator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """`asked` is what CreateAgent or UpdateAgent was given; `prepared` what PrepareAgent found
    sound, whole; None before."""

    account: str
    id: str
    label: str
    name: str
    status: Status
    created_ms: int
    updated_ms: int
    prepared_ms: int
    latest: int  # the number of its newest version; 0: none
    asked: Mapping[str, Any]
    failures: Sequence[str]
    prepared: Mapping[str, Any] | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """`asked` is what made it. `name` is unique among the agent's parts of its kind."""

    account: str
    agent_id: str
    kind: Part
    id: str
    label: str
    name: str
    created_ms: int
    updated_ms: int
    asked: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    account: str
    agent_id: str
    number: int
    label: str
    created_ms: int
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """`version` is a number, or DRAFT. `history`: where it routed before, newest last."""

    account: str
    agent_id: str
    id: str
    label: str
    name: str
    created_ms: int
    updated_ms: int
    version: str
    asked: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    tags: Mapping[str, str]


def first_try(req: Mapping[str, Any]) -> Params:
    """What is kept of a call that makes something, to know it when it comes again."""
    return {"clientToken": req["clientToken"]} if req.get("clientToken") else {}


def is_same_try(asked: Mapping[str, Any], req: Mapping[str, Any]) -> bool:
    """Whether what was `asked` with this name was made by this very call, whose answer was lost."""
    token = req.get("clientToken")
    return bool(token) and asked.get("clientToken") == token


def definition_of(asked: Mapping[str, Any], parts: Sequence[PartRow]) -> Params:
    """An agent and its parts as one thing, which a version keeps as it is."""
    return {
        "agent": dict(asked),
        "parts": [
            {
                "kind": str(part.kind),
                "id": part.id,
                "name": part.name,
                "created_ms": part.created_ms,
                "updated_ms": part.updated_ms,
                "asked": dict(part.asked),
            }
            for part in parts
        ],
    }

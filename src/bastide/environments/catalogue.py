"""Which environment an image URI means, and where the built ones are.

A manifest (one JSON file) names an immutable directory that is called by its digest; building
again makes another directory and replaces the manifest in one step.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from bastide.db import durable
from bastide.environments import build, oci
from bastide.environments.bench import BuildFailed
from bastide.environments.build import Builder
from bastide.jobs.model import Bind
from bastide.kernel.errors import ServiceError

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
TARGET = "/opt/environments"  # where a built environment is seen inside the sandbox
IMAGES: Mapping[str, str] = {
    # last part of the repository's name → environment. Source: AWS's list of SageMaker images,
    # https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html
    r"sagemaker-scikit-learn": "sklearn",
    r"sagemaker-xgboost": "sklearn",
    r"(huggingface-)?pytorch-(training|inference|tgi-inference)(-.*)?": "pytorch",
    r"(huggingface-)?tensorflow-(training|inference)(-.*)?": "tensorflow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A runtime that jobs can be given. `python` is its interpreter as seen inside the sandbox;
    `rootfs` is the root file system of an imported image; `entrypoint` and `workdir` are that
    image's own. Its command is not used: SageMaker says `train` or `serve` in its place."""

    name: str
    digest: str
    root: Path
    python: str | None
    binds: tuple[Bind, ...]
    rootfs: Path | None
    env: Mapping[str, str]
    entrypoint: tuple[str, ...] = ()
    workdir: str = "/opt/ml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is kept of a built environment. `kind` is "venv" or "oci"."""

    name: str
    kind: str
    digest: str
    folder: str
    size: int
    interpreter: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    workdir: str = ""


class Starts(Protocol):
    """How an image's programs start."""

    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def entrypoint(self) -> tuple[str, ...]: ...
    @property
    def workdir(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Environments:
    """`folder` holds `manifests/` and `store/`; `locks` names the lock file of each
    environment that can be built, and `builder` builds them (None: none is built here)."""

    folder: Path
    locks: Mapping[str, Path]
    builder: Builder | None = None

    def for_image(self, uri: str) -> Environment:
        """The environment of `uri`: an imported reference, an image of SageMaker's, or a name."""
        manifest = self._manifest(uri)
        if manifest is not None:
            return self._environment(manifest)
        name = name_of(uri)
        if name is None:
            raise ServiceError(
                "ValidationException",
                f"The image {uri[:255]} is not available here. An operator can add it with: "
                f"bastide env import-oci TAR --name {uri[:255]}",
            )
        manifest = self._manifest(name)
        if manifest is None:
            raise ServiceError("ValidationException", self._how_to_get(uri, name))
        return self._environment(manifest)

    def listing(self) -> list[dict[str, object]]:
        """Every environment that is built or could be, for `bastide env list`."""
        built = {each.name: each for each in self._manifests()}
        names = sorted(built.keys() | set(self.buildable()))
        return [_row(name, built.get(name)) for name in names]

    def buildable(self) -> Sequence[str]:
        return sorted(self.locks)

    def build(self, name: str, wheels: Path | None = None) -> Iterator[str]:
        """Build `name` from its lock, telling each step; nothing happens when it is there. With
        `wheels`, out of that folder alone, and without a network."""
        lock, builder = self.lock_of(name), self._needed_builder()
        store = self.folder / "store"
        durable.folder(store)
        with durable.alone_in(store):  # a second one waits, and finds what the first has built
            yield from self._built(name, lock, builder, wheels)

    def _built(self, name: str, lock: Path, builder: Builder, wheels: Path | None) -> Iterator[str]:
        digest = build.digest_of(lock, builder.interpreter)
        known = self._manifest(name)
        if known is not None and known.digest == digest and Path(known.folder).is_dir():
            yield f"{name} is built already"
            return
        target = self._store(name, digest)
        yield from builder.venv(lock, target, wheels)
        self._publish(
            Manifest(
                name=name,
                kind="venv",
                digest=digest,
                folder=str(target),
                size=build.size_of(target),
                interpreter=str(build.prefix_of(builder.interpreter)),
            )
        )

    def fetch(self, name: str, folder: Path) -> Iterator[str]:
        """Bring the files that `name` is built of."""
        lock = self.lock_of(name)
        yield from self._needed_builder().fetch(lock, folder)

    def _needed_builder(self) -> Builder:
        if self.builder is None:
            raise BuildFailed("nothing is built here")
        return self.builder

    def lock_of(self, name: str) -> Path:
        if name not in self.buildable():
            raise ServiceError("ValidationException", f"There is no environment {name[:63]}.")
        return self.locks[name]

    def import_oci(self, tar: Path, name: str) -> Iterator[str]:
        """Unpack the image in `tar` and serve it as the image URI `name`."""
        staging = self._staging(name)
        image = yield from oci.unpack(tar, staging)
        self._serve(name, staging, image.digest, image.size, image)

    def image_of(self, name: str) -> Environment | None:
        """The container image that serves `name`; None where there is none."""
        manifest = self._manifest(name)
        if manifest is None or manifest.kind != "oci":
            return None
        return self._environment(manifest)

    def take_carried(self, tar: Path, name: str, digest: str, run: Starts) -> Iterator[str]:
        """Unpack an image's tree as another region carried it, and serve it as `name`. It is
        called by the digest of what came."""
        staging = self._staging(name)
        yield f"unpacking {name}"
        size = oci.unpack_carried(tar, staging, run.workdir)
        self._serve(name, staging, f"sha256:{digest}", size, run)

    def _staging(self, name: str) -> Path:
        return self.folder / "store" / ".incoming" / hashlib.sha256(name.encode()).hexdigest()

    def _serve(self, name: str, unpacked: Path, digest: str, size: int, run: Starts) -> None:
        """An image's tree, from now on, as `name`."""
        target = self._store(name, digest)
        build.publish(unpacked, target)
        self._publish(
            Manifest(
                name=name,
                kind="oci",
                digest=digest,
                folder=str(target),
                size=size,
                env=run.env,
                entrypoint=run.entrypoint,
                workdir=run.workdir,
            )
        )

    def _how_to_get(self, uri: str, name: str) -> str:
        if name in self.buildable():
            return (
                f"The image {uri[:255]} maps to the environment {name}, which is not built here. "
                f"An operator can add it with: bastide env build {name}"
            )
        return (
            f"The image {uri[:255]} is not available here. An operator can add it with: "
            f"bastide env import-oci TAR --name {uri[:255]}"
        )

    def _environment(self, manifest: Manifest) -> Environment:
        folder = Path(manifest.folder)
        if manifest.kind == "oci":
            return Environment(
                name=manifest.name,
                digest=manifest.digest,
                root=folder,
                python=None,
                binds=(),
                rootfs=folder,
                env=manifest.env,
                entrypoint=manifest.entrypoint,
                workdir=manifest.workdir,
            )
        return _venv_environment(manifest, folder)

    def _store(self, name: str, digest: str) -> Path:
        readable = re.sub(r"[^a-z0-9._-]", "_", name.lower())[:40].strip(".") or "image"
        return self.folder / "store" / f"{readable}-{digest.removeprefix('sha256:')}"

    def _manifest_path(self, name: str) -> Path:
        return self.folder / "manifests" / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"

    def _manifest(self, name: str) -> Manifest | None:
        try:
            return msgspec.json.decode(self._manifest_path(name).read_bytes(), type=Manifest)
        except FileNotFoundError:
            return None

    def _manifests(self) -> list[Manifest]:
        paths = sorted((self.folder / "manifests").glob("*.json"))
        return [msgspec.json.decode(path.read_bytes(), type=Manifest) for path in paths]

    def _publish(self, manifest: Manifest) -> None:
        path = self._manifest_path(manifest.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(manifest))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)


def name_of(uri: str) -> str | None:
    """`123.dkr.ecr.us-gov-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1` → `sklearn`."""
    repository = uri.split("@", 1)[0].rsplit("/", 1)[-1].split(":", 1)[0]
    for pattern, name in IMAGES.items():
        if re.fullmatch(pattern, repository):
            return name
    return uri if NAME.fullmatch(uri) else None


def _venv_environment(manifest: Manifest, folder: Path) -> Environment:
    inside = f"{TARGET}/{manifest.name}"
    binds = [Bind(source=folder, target=inside)]
    if not manifest.interpreter.startswith("/usr"):
        binds.append(Bind(source=Path(manifest.interpreter), target=manifest.interpreter))
    return Environment(
        name=manifest.name,
        digest=manifest.digest,
        root=folder,
        python=f"{inside}/bin/python",
        binds=tuple(binds),
        rootfs=None,
        env={
            "PATH": f"{inside}/bin:/usr/local/bin:/usr/bin:/bin",
            "VIRTUAL_ENV": inside,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        },
    )


def _row(name: str, manifest: Manifest | None) -> dict[str, object]:
    images = [pattern for pattern, named in IMAGES.items() if named == name]
    return {
        "name": name,
        "built": manifest is not None,
        "kind": manifest.kind if manifest else "venv",
        "digest": manifest.digest if manifest else "",
        "size": manifest.size if manifest else 0,
        "images": [f"*/{pattern}:*" for pattern in images],
    }

"""Unpacks a container image (an OCI layout or `docker save`, as a TAR) as a root file system.

Every blob is checked against its digest; every path is resolved inside the new root, so that no
name and no link of a layer can leave it. Devices are left out, setuid bits dropped.
Source: https://github.com/opencontainers/image-spec (layer.md, image-layout.md, config.md).
"""

import gzip
import hashlib
import io
import platform
import tarfile
import zlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from mmap import PROT_READ, mmap
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from bastide.environments import carried
from bastide.environments.rootfs import OutOfBounds, Root
from bastide.jobs import folders
from bastide.jobs.outputs import BoundedInfo

JSON_MAX = 8 * 1024 * 1024
MEMBERS_MAX = 20_000  # blobs, signatures and attestations of an image
LAYERS_MAX = 256
INDEXES_MAX = 3  # an index may name an index
SIZE_MAX = 128 * 1024**3
ENTRIES_MAX = 2_000_000
RATIO_MAX = 200  # a bomb expands 1,000 times
RATIO_FREE_BYTES = 64 * 1024 * 1024
CHUNK = 1024 * 1024
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "s390x": "s390x"}
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
T = TypeVar("T")


class BadImage(Exception):
    """The file is no image that can be taken; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What the image's configuration says."""

    digest: str
    size: int
    env: Mapping[str, str]
    entrypoint: tuple[str, ...]
    workdir: str
    user: str


# The documents in the file, as far as they are read. Their names are the specifications' own.
@dataclass(frozen=True, slots=True)
class _Platform:
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class _Descriptor:
    digest: str
    platform: _Platform | None = None


@dataclass(frozen=True, slots=True)
class _Index:
    manifests: list[_Descriptor]


@dataclass(frozen=True, slots=True)
class _Manifest:
    """An image, or an index: then it has `manifests`."""

    config: _Descriptor | None = None
    layers: list[_Descriptor] = field(default_factory=list)
    manifests: list[_Descriptor] | None = None


@dataclass(frozen=True, slots=True)
class _Saved:
    """An entry of what `docker save` writes."""

    Config: str
    Layers: list[str]


@dataclass(frozen=True, slots=True)
class _Rootfs:
    diff_ids: list[str]


@dataclass(frozen=True, slots=True)
class _Run:
    Env: list[str] | None = None
    Entrypoint: list[str] | None = None
    WorkingDir: str | None = None
    User: str | None = None


@dataclass(frozen=True, slots=True)
class _Config:
    architecture: str
    rootfs: _Rootfs
    config: _Run | None = None


@dataclass(frozen=True, slots=True)
class _Layer:
    member: str  # in the TAR
    digest: str  # of the blob as it is, or "" when only that of its content is known
    content_digest: str


@dataclass(frozen=True, slots=True)
class _Plan:
    digest: str
    config: _Config
    layers: list[_Layer]


def unpack(tar_path: Path, target: Path) -> Generator[str, None, Image]:
    """Yields steps; its result is the Image (`yield from`). Raises BadImage."""
    folders.remove(target)
    target.mkdir(parents=True, mode=0o755)
    try:
        return (yield from _unpack(tar_path, target))
    except (OutOfBounds, msgspec.DecodeError, tarfile.TarError, EOFError, zlib.error) as error:
        raise BadImage(str(error)) from error
    except (OSError, ValueError) as error:  # from tarfile and gzip, about what they read
        raise BadImage(f"it cannot be read: {error}") from error


def unpack_carried(tar_path: Path, target: Path, workdir: str) -> int:
    """Unpack a tree that came through the gate (`carried.py`); answers its files' size. Raises
    BadImage."""
    folders.remove(target)
    target.mkdir(parents=True, mode=0o755)
    try:
        with tar_path.open("rb") as file:
            size = carried.unpack(memoryview(mmap(file.fileno(), 0, prot=PROT_READ)), target)
        Root(target, size_max=0, entries_max=0).prepare(workdir)
    except (carried.NotPlain, OutOfBounds, OSError) as error:
        raise BadImage(str(error)) from error
    return size


def _unpack(tar_path: Path, target: Path) -> Generator[str, None, Image]:
    size_max = min(SIZE_MAX, tar_path.stat().st_size * RATIO_MAX + RATIO_FREE_BYTES)
    with tarfile.open(tar_path, "r:*", tarinfo=BoundedInfo) as tar:
        plan = _plan(tar)
        root = Root(target, size_max=size_max, entries_max=ENTRIES_MAX)
        for number, layer in enumerate(plan.layers, 1):
            yield f"layer {number} of {len(plan.layers)}"
            _apply(tar, layer, root)
    image = _image(plan, root.written)
    root.prepare(image.workdir)
    if image.user not in {"", "0", "root"}:
        yield f"its user {image.user[:32]} becomes the agency's own, as every job's does"
    yield "publishing"
    return image


def _plan(tar: tarfile.TarFile) -> _Plan:
    names = {}
    for count, member in enumerate(tar):
        if count >= MEMBERS_MAX:
            raise BadImage(f"it has more than {MEMBERS_MAX} members")
        names[member.name.removeprefix("./")] = member.name
    if "index.json" in names:
        plan = _plan_oci(tar, names)
    elif "manifest.json" in names:
        plan = _plan_docker(tar, names)
    else:
        raise BadImage("it has neither index.json nor manifest.json")
    if MACHINES.get(plan.config.architecture) != platform.machine():
        raise BadImage(f"it is for {plan.config.architecture[:32]}, not for {platform.machine()}")
    return plan


def _plan_oci(tar: tarfile.TarFile, names: Mapping[str, str]) -> _Plan:
    ahead = _decoded(_read(tar, names["index.json"]), _Index).manifests
    for _ in range(INDEXES_MAX):
        found = _decoded(_blob(tar, names, _pick(ahead).digest), _Manifest)
        if found.manifests is None:
            break
        ahead = found.manifests
    if found.config is None:
        raise BadImage("it names no image")
    text = _blob(tar, names, found.config.digest)
    blobs = [each.digest for each in found.layers]
    members = [names.get(_blob_name(each), "") for each in blobs]
    return _planned(found.config.digest, text, members, blobs)


def _plan_docker(tar: tarfile.TarFile, names: Mapping[str, str]) -> _Plan:
    entries = _decoded(_read(tar, names["manifest.json"]), list[_Saved])
    if len(entries) != 1:
        raise BadImage("it holds more than one image, or none")
    text = _read(tar, names.get(entries[0].Config, ""))
    members = [names.get(each, "") for each in entries[0].Layers]
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    return _planned(digest, text, members, [""] * len(members))


def _planned(digest: str, text: bytes, members: Sequence[str], blobs: Sequence[str]) -> _Plan:
    config = _decoded(text, _Config)
    diffs = config.rootfs.diff_ids
    if len(members) != len(diffs) or len(members) > LAYERS_MAX:
        raise BadImage("the layers do not match the configuration")
    return _Plan(
        digest, config, [_Layer(*each) for each in zip(members, blobs, diffs, strict=True)]
    )


def _pick(manifests: Sequence[_Descriptor]) -> _Descriptor:
    """The one for this machine, or the only one."""
    for each in manifests:
        if each.platform and MACHINES.get(each.platform.architecture) == platform.machine():
            return each
    if len(manifests) != 1:
        raise BadImage(f"no image in it is for {platform.machine()}")
    return manifests[0]


def _apply(tar: tarfile.TarFile, layer: _Layer, root: Root) -> None:
    """Check the blob first, then unpack it, hashing what it holds."""
    blob = _open(tar, layer.member)
    if layer.digest:
        _check(blob, layer.digest)
        blob.seek(0)
    magic = blob.read(4)
    blob.seek(0)
    if magic == ZSTD:
        raise BadImage("its layers are compressed with zstd; save it with gzip")
    for put in (root.white_out, root.add):  # white-outs are about the layers below alone
        content = _Hashed(gzip.GzipFile(fileobj=blob) if magic[:2] == GZIP else blob)  # type: ignore[arg-type]  # an IO[bytes]
        with tarfile.open(fileobj=content, mode="r|", tarinfo=BoundedInfo) as entries:  # type: ignore[call-overload]  # it reads only
            for info in entries:
                put(entries, info)
                entries.members = []  # it would remember every entry
        content.rest()
        if content.digest() != layer.content_digest:
            raise BadImage(f"a layer does not have the digest {layer.content_digest[:80]}")
        blob.seek(0)


class _Hashed:
    """Hashes what is read through it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._sum = hashlib.sha256()

    def read(self, size: int = CHUNK) -> bytes:
        data = self._source.read(size)
        self._sum.update(data)
        return data

    def rest(self) -> None:
        while self.read():
            pass

    def digest(self) -> str:
        return "sha256:" + self._sum.hexdigest()


def _check(blob: IO[bytes], digest: str) -> None:
    total = hashlib.sha256()
    while chunk := blob.read(CHUNK):
        total.update(chunk)
    if digest != "sha256:" + total.hexdigest():
        raise BadImage(f"a blob does not have the digest {digest}")


def _blob_name(digest: str) -> str:
    kind, _, value = digest.partition(":")
    if kind != "sha256" or len(value) != 64 or not value.isalnum():
        raise BadImage(f"{digest[:80]!r} is no sha256 digest")
    return f"blobs/sha256/{value}"


def _blob(tar: tarfile.TarFile, names: Mapping[str, str], digest: str) -> bytes:
    data = _read(tar, names.get(_blob_name(digest), ""))
    _check(io.BytesIO(data), digest)
    return data


def _open(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        found = tar.extractfile(name) if name else None
    except KeyError:
        found = None
    if found is None:
        raise BadImage("a blob that it names is not in it")
    return found


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    data = _open(tar, name).read(JSON_MAX + 1)
    if len(data) > JSON_MAX:
        raise BadImage(f"{name} is too long")
    return data


def _decoded(text: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(text, type=kind)


def _image(plan: _Plan, size: int) -> Image:
    run = plan.config.config or _Run()
    pairs = [each.partition("=") for each in run.Env or ()]
    return Image(
        digest=plan.digest,
        size=size,
        env={name: value for name, _, value in pairs},
        entrypoint=tuple(run.Entrypoint or ()),
        workdir=run.WorkingDir or "/",
        user=run.User or "",
    )

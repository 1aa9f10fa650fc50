"""Unpacks a container image (an OCI layout or `docker save`, as a TAR) as a root file system.

Every blob is checked against its digest; every path is resolved inside the new root, so that no
name and no link of a layer can leave it. Devices are left out, setuid bits dropped.
Source: https://github.com/opencontainers/image-spec (layer.md, image-layout.md, config.md).
"""

import hashlib
import io
import json
import platform
import shutil
import tarfile
import zlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bastide.environments.rootfs import Root

JSON_MAX = 8 * 1024 * 1024
LAYERS_MAX = 256
SIZE_MAX = 128 * 1024**3
ENTRIES_MAX = 2_000_000
CHUNK = 1024 * 1024
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "s390x": "s390x"}


class BadImage(Exception):
    """The file is no image that can be taken; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What the image's configuration says."""

    digest: str
    size: int
    env: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    workdir: str


@dataclass(frozen=True, slots=True)
class _Layer:
    member: str  # in the TAR
    digest: str  # of the blob as it is, or "" when only that of its content is known
    content_digest: str


def unpack(tar_path: Path, target: Path) -> Generator[str, None, Image]:
    """Yields steps; its result is the Image (`yield from`). Raises BadImage."""
    try:
        return (yield from _unpack(tar_path, target))
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise BadImage(f"it is no TAR archive, or a torn one: {error}") from error


def _unpack(tar_path: Path, target: Path) -> Generator[str, None, Image]:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True, mode=0o755)
    with tarfile.open(tar_path, "r:*") as tar:
        config_digest, config, layers = _plan(tar)
        _check_machine(config)
        root = Root(target, size_max=SIZE_MAX, entries_max=ENTRIES_MAX)
        for number, layer in enumerate(layers, 1):
            yield f"layer {number} of {len(layers)}"
            _apply(tar, layer, root)
    root.prepare()
    yield "publishing"
    return _image(config_digest, config, root.written)


def _plan(tar: tarfile.TarFile) -> tuple[str, dict[str, Any], list[_Layer]]:
    names = {member.name.removeprefix("./"): member.name for member in tar.getmembers()}
    if "index.json" in names:
        return _plan_oci(tar, names)
    if "manifest.json" in names:
        return _plan_docker(tar, names)
    raise BadImage("it has neither index.json nor manifest.json")


def _plan_oci(
    tar: tarfile.TarFile, names: Mapping[str, str]
) -> tuple[str, dict[str, Any], list[_Layer]]:
    document = _json(_read(tar, names["index.json"]))
    for _ in range(3):  # an index may name an index
        found = document.get("manifests")
        if found is None:
            break
        document = _json(_blob(tar, names, _pick(found)["digest"]))
    config_digest = str(document["config"]["digest"])
    config = _json(_blob(tar, names, config_digest))
    diffs = config["rootfs"]["diff_ids"]
    blobs = [str(each["digest"]) for each in document["layers"]]
    if len(blobs) != len(diffs) or len(blobs) > LAYERS_MAX:
        raise BadImage("the layers do not match the configuration")
    layers = [
        _Layer(names.get(_blob_name(blob), ""), blob, str(diff))
        for blob, diff in zip(blobs, diffs, strict=True)
    ]
    return config_digest, config, layers


def _plan_docker(
    tar: tarfile.TarFile, names: Mapping[str, str]
) -> tuple[str, dict[str, Any], list[_Layer]]:
    entries = json.loads(_read(tar, names["manifest.json"]))
    if not isinstance(entries, list) or len(entries) != 1:
        raise BadImage("it holds more than one image")
    text = _read(tar, names.get(entries[0]["Config"], ""))
    config, files = _json(text), entries[0]["Layers"]
    diffs = config["rootfs"]["diff_ids"]
    if len(files) != len(diffs) or len(files) > LAYERS_MAX:
        raise BadImage("the layers do not match the configuration")
    layers = [
        _Layer(names.get(file, ""), "", str(diff)) for file, diff in zip(files, diffs, strict=True)
    ]
    return "sha256:" + hashlib.sha256(text).hexdigest(), config, layers


def _pick(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """The one for this machine, or the only one."""
    for each in manifests:
        if MACHINES.get(each.get("platform", {}).get("architecture", "")) == platform.machine():
            return each
    if len(manifests) != 1:
        raise BadImage(f"no image in it is for {platform.machine()}")
    return manifests[0]


def _check_machine(config: Mapping[str, Any]) -> None:
    machine = MACHINES.get(str(config.get("architecture")))
    if machine != platform.machine():
        raise BadImage(f"it is for {config.get('architecture')}, not for {platform.machine()}")


def _apply(tar: tarfile.TarFile, layer: _Layer, root: Root) -> None:
    """Check the blob first, then unpack it, hashing what it holds."""
    blob = _open(tar, layer.member)
    if layer.digest:
        _check(blob, layer.digest)
        blob.seek(0)
    magic = blob.read(4)
    blob.seek(0)
    if magic == b"\x28\xb5\x2f\xfd":
        raise BadImage("its layers are compressed with zstd; save it with gzip")
    content = _Hashed(_plain(blob, magic))
    with tarfile.open(fileobj=content, mode="r|") as entries:  # type: ignore[call-overload]  # it reads only
        for info in entries:
            root.add(entries, info)
    content.rest()
    if content.digest() != layer.content_digest:
        raise BadImage(f"a layer does not have the digest {layer.content_digest}")


def _plain(blob: IO[bytes], magic: bytes) -> IO[bytes]:
    if magic[:2] == b"\x1f\x8b":
        import gzip  # only images with compressed layers need it

        return gzip.GzipFile(fileobj=blob)  # type: ignore[return-value]  # it is an IO[bytes]
    return blob


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


def _json(text: bytes) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise BadImage("a document in it is no JSON object")
    return document


def _image(digest: str, config: Mapping[str, Any], size: int) -> Image:
    inner = config.get("config") or {}
    pairs = [str(each).partition("=") for each in inner.get("Env") or ()]
    return Image(
        digest=digest,
        size=size,
        env={name: value for name, _, value in pairs},
        entrypoint=tuple(str(each) for each in inner.get("Entrypoint") or ()),
        command=tuple(str(each) for each in inner.get("Cmd") or ()),
        workdir=str(inner.get("WorkingDir") or ""),
    )

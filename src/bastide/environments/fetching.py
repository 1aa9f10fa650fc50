"""Brings the files that a lock names, as their makers published them. Nothing of them runs: uv says
where each one lies, and what comes must be what the lock pins."""

import subprocess
import tomllib
import urllib.request
from collections.abc import Iterator, Sequence
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from bastide.environments import pinned
from bastide.environments.bench import TAIL_MAX, BuildFailed

RESOLVE_S_MAX = 600.0
TIMEOUT_S = 60.0
FILE_BYTES_MAX = 8 << 30
BLOCK_BYTES = 1 << 20


class _File(msgspec.Struct, frozen=True):
    url: str = ""
    path: str = ""


class _Package(msgspec.Struct, frozen=True):
    """PEP 751. uv names the wheels that this machine can use, the one that it would take first."""

    name: str
    wheels: list[_File] = []
    sdist: _File | None = None


class _Found(msgspec.Struct, frozen=True):
    packages: list[_Package] = []


def fetch(lock: Path, folder: Path, uv: Sequence[str]) -> Iterator[str]:
    """Bring the files that `lock` pins into `folder`: wheels, and a source where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    allowed = pinned.read(lock)
    yield f"fetching {len(allowed)} packages"
    for package in _found(lock, uv):
        first = next(iter(package.wheels), package.sdist)
        if first is None:
            raise BuildFailed(f"{package.name} has no file for this machine")
        name = unquote(urlsplit(first.url or first.path).path).rpartition("/")[2]
        digests = allowed.get(pinned.of_file(name) or ("", ""))
        if digests is None:
            raise BuildFailed(f"{name[:200]} is nothing that the lock names")
        if _brought(first, folder / name, lock.parent) not in digests:
            raise BuildFailed(f"{name[:200]} is not what the lock names")


def _found(lock: Path, uv: Sequence[str]) -> list[_Package]:
    """Where the files lie. Every version is pinned, so uv asks no source what it needs."""
    asked = [*uv, "pip", "compile", "--no-deps", "--no-build-isolation", "--no-header"]
    asked += ["--format", "pylock.toml", str(lock)]
    try:
        done = subprocess.run(  # noqa: S603 - our own command line, about a lock file
            asked, capture_output=True, text=True, timeout=RESOLVE_S_MAX, check=False
        )
    except FileNotFoundError as error:
        raise BuildFailed(f"{asked[0]} is not there; tools/setup installs it") from error
    if done.returncode != 0:
        raise BuildFailed(done.stderr[-TAIL_MAX:].strip())
    return msgspec.convert(tomllib.loads(done.stdout), _Found).packages


def _brought(file: _File, target: Path, beside: Path) -> str:
    """The digest of what came."""
    url, running, size = file.url or (beside / file.path).resolve().as_uri(), sha256(), 0
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer,  # noqa: S310 - held to its pin
            target.open("xb") as out,
        ):
            while block := answer.read(BLOCK_BYTES):
                size += len(block)
                if size > FILE_BYTES_MAX:
                    raise BuildFailed(f"{target.name} is too large")
                running.update(block)
                out.write(block)
    except (OSError, HTTPException, ValueError) as error:
        raise BuildFailed(f"{target.name}: {error}") from error
    return running.hexdigest()

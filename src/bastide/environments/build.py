"""Builds an environment from a lock file with hashes, and publishes it in one rename.

What the files are made of runs on the bench alone: first the sources become wheels there, each by
itself, then all is installed.
"""

import hashlib
import importlib.util
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bastide.environments import fetching, pinned
from bastide.environments.bench import HOME, Bench, BuildFailed
from bastide.jobs import folders, outputs
from bastide.jobs.model import Bind
from bastide.jobs.ports import JobFailed
from bastide.kernel.file_digest import sha256_of

FILES, BUILT, TOOLS, LOCK = "/files", "/built", "/tools", "/lock.txt"  # as seen on the bench
BACKEND = ("setuptools", "_distutils_hack", "pkg_resources")  # what sources are built by
SERVED = ("--offline", "--no-config", "--no-progress", "--cache-dir", f"{HOME}/cache")


def digest_of(lock: Path, interpreter: Path) -> str:
    """Names the result: the lock, the interpreter and the machine that it was built with."""
    parts = (lock.read_bytes(), str(prefix_of(interpreter)).encode(), platform.machine().encode())
    joined = b"\0".join(hashlib.sha256(part).digest() for part in parts)
    return "sha256:" + hashlib.sha256(joined + sys.version.encode()).hexdigest()


def prefix_of(interpreter: Path) -> Path:
    """The installation that `interpreter` (perhaps a venv's) belongs to."""
    if interpreter == Path(sys.executable):
        return Path(sys.base_prefix).resolve()
    asked = [str(interpreter), "-I", "-c", "import sys; print(sys.base_prefix)"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True)  # noqa: S603 - the operator's own interpreter
    return Path(answer.stdout.strip()).resolve()


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Makes virtual environments with `uv`, for the Python that `interpreter` belongs to. What uv
    learnt of an index it keeps in `cache` (None: in its user's)."""

    bench: Bench
    uv: Path
    interpreter: Path
    cache: Path | None = None

    def fetch(self, lock: Path, folder: Path) -> Iterator[str]:
        """Bring the files that `lock` pins."""
        cache = ("--cache-dir", str(self.cache)) if self.cache else ()
        tool = [str(self.uv), "--quiet", *cache]
        yield from fetching.fetch(lock, folder, tool)

    def venv(self, lock: Path, target: Path, wheels: Path | None = None) -> Iterator[str]:
        """Make a relocatable virtual environment at `target`. Yields what it is about to do. With
        `wheels`, out of that folder alone, and without a network."""
        self.bench.check()
        making = target.with_name(f".{target.name}.making")
        folders.remove(making)
        for name in ("files", "built", "home"):
            (making / name).mkdir(parents=True)
        files = making / "files"
        if wheels is None:
            yield from self.fetch(lock, files)
        else:
            shutil.copytree(wheels, files, dirs_exist_ok=True)
        try:
            yield from self._installed(lock, making)
            yield "publishing"
            publish(_plain(making / "home" / "venv"), target)
        finally:
            folders.remove(making)

    def _installed(self, lock: Path, making: Path) -> Iterator[str]:
        files, built, home = making / "files", making / "built", making / "home"
        text, pins = lock.read_text(), pinned.read(lock)
        for source in sorted(files.glob(f"*{pinned.SOURCE}")):
            yield f"building {source.name}"
            which = _checked(source, pins)
            digest = self._built(source, built, making / "source-home")
            text = pinned.with_digest(text, which, digest)
        own = making / "lock.txt"
        own.write_text(text)
        _readable(making)
        yield f"installing {len(pins)} packages"
        seen = [
            Bind(source=files, target=FILES),
            Bind(source=built, target=BUILT),
            Bind(source=own, target=LOCK),
        ]
        python = f"{HOME}/venv/bin/python"
        self._run(home, seen, "venv", "--relocatable", "--python", self._python, f"{HOME}/venv")
        self._run(
            home, seen, "pip", "install", "--no-index", "--no-build", "--require-hashes",
            "--compile-bytecode", "--find-links", FILES, "--find-links", BUILT,
            "--python", python, "-r", LOCK,
        )  # fmt: skip

    def _built(self, source: Path, built: Path, home: Path) -> str:
        """Make a source's wheel, in a home of its own; answers its digest."""
        folders.remove(home)
        home.mkdir()
        source.chmod(0o644)
        seen = [Bind(source=source, target=f"{FILES}/{source.name}"), *_backend()]
        try:
            self._run(
                home, seen, "build", "--wheel", "--no-build-isolation", "--python", self._python,
                "--out-dir", f"{HOME}/out", f"{FILES}/{source.name}",
            )  # fmt: skip
            return _taken(home, source.name, built)
        except (BuildFailed, JobFailed) as error:
            raise BuildFailed(f"{source.name} cannot be built: {error}") from error

    def _run(self, home: Path, seen: list[Bind], *words: str) -> None:
        prefix = prefix_of(self.interpreter)
        seen = [*seen, Bind(source=self.uv, target=f"{TOOLS}/uv")]
        if not prefix.is_relative_to("/usr"):
            seen.append(Bind(source=prefix, target=str(prefix)))
        env = {"HOME": HOME, "PYTHONPATH": f"{TOOLS}/python"}
        self.bench.run([f"{TOOLS}/uv", *SERVED, *words], home, seen, env)

    @property
    def _python(self) -> str:
        return str(prefix_of(self.interpreter) / "bin" / f"python3.{sys.version_info.minor}")


def _backend() -> list[Bind]:
    """This region's own setuptools: a build of its own would fetch one."""
    found = [(name, importlib.util.find_spec(name)) for name in BACKEND]
    return [
        Bind(source=Path(spec.origin).parent, target=f"{TOOLS}/python/{name}")
        for name, spec in found
        if spec is not None and spec.origin is not None
    ]


def _taken(home: Path, source: str, built: Path) -> str:
    """Copy the one wheel that a build left, which must be of what it was built from; answers its
    digest. What the build left beside it is not looked at."""
    wheels = [each for each in outputs.walk(home, "out") if each.name.endswith(".whl")]
    name = wheels[0].name.removeprefix("out/") if len(wheels) == 1 else ""
    if pinned.of_file(name) != pinned.of_file(source):
        raise BuildFailed("it left no wheel of its own")
    target = built / name
    with outputs.open_file(home, f"out/{name}") as made, target.open("xb") as file:
        shutil.copyfileobj(made, file)
    return sha256_of(target)


def _checked(source: Path, pins: pinned.Pins) -> tuple[str, str]:
    """Which distribution a source is of. Raises BuildFailed, before anything of it runs, for one
    that is not pinned."""
    which = pinned.of_file(source.name)
    if which is None or sha256_of(source) not in pins.get(which, ()):
        raise BuildFailed(f"{source.name[:200]} is not what the lock names")
    return which


def _readable(making: Path) -> None:
    """What is only shown on the bench may be read by its user."""
    making.chmod(0o755)
    for path in (making / "files", making / "built"):
        path.chmod(0o755)
        for each in path.iterdir():
            each.chmod(0o644)
    (making / "lock.txt").chmod(0o644)


def _plain(made: Path) -> Path:
    """What ran on the bench may have put something else in its place."""
    if made.is_symlink() or not made.is_dir():
        raise BuildFailed("it left no environment")
    return made


def publish(making: Path, target: Path) -> None:
    """Readable by every uid, writable by none, then there in one step."""
    for held, inner, files in folders.walk(making):
        for name in (*inner, *files):
            _open_up(name, held)
    making.chmod(0o755)
    if target.exists():  # complete, from a build that died before it wrote its manifest
        folders.remove(making)
        return
    os.sync()
    making.rename(target)


def _open_up(name: str, held: int) -> None:
    mode = os.lstat(name, dir_fd=held).st_mode
    if stat.S_ISDIR(mode):
        os.chmod(name, 0o755, dir_fd=held)  # noqa: S103 - every uid reads it
    elif stat.S_ISREG(mode):
        os.chmod(name, 0o555 if mode & 0o111 else 0o444, dir_fd=held)
    elif not stat.S_ISLNK(mode):  # a pipe would join all who see it, be it mounted read-only
        os.unlink(name, dir_fd=held)


def size_of(folder: Path) -> int:
    found = (
        os.lstat(name, dir_fd=held)
        for held, inner, files in folders.walk(folder)
        for name in (*inner, *files)
    )
    return sum(each.st_size for each in found if not stat.S_ISLNK(each.st_mode))

"""Builds an environment from a lock file with hashes, and publishes it in one rename."""

import hashlib
import os
import platform
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

BUILD_S_MAX = 3600.0
TAIL_MAX = 2000


class BuildFailed(Exception):
    """An installer's own words."""


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


def venv(
    *,
    lock: Path,
    target: Path,
    interpreter: Path,
    uv: Path,
    cache: Path | None = None,
    wheels: Path | None = None,
) -> Iterator[str]:
    """Make a relocatable virtual environment at `target`. Yields what it is about to do. With
    `wheels`, out of that folder alone, and without a network."""
    making = target.with_name(f".{target.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.parent.mkdir(parents=True, exist_ok=True)
    python = prefix_of(interpreter) / "bin" / f"python3.{sys.version_info.minor}"
    yield f"creating {target.name}"
    tool = [str(uv), "--quiet", *(("--cache-dir", str(cache)) if cache else ())]
    alone = [] if wheels is None else _alone(wheels)
    if alone:
        tool = ["env", f"PYTHONPATH={sysconfig.get_path('purelib')}", *tool]
        tool += ["--offline", "--no-config"]
    _run([*tool, "venv", "--relocatable", "--python", str(python), str(making)])
    yield f"installing {_count(lock)} packages"
    _run(
        [
            *(*tool, "pip", "install", "--require-hashes", "--compile-bytecode"),
            *("--link-mode", "copy", "--python", str(making / "bin" / "python")),
            *alone,
            *("-r", str(lock)),
        ]
    )
    yield "publishing"
    publish(making, target)


def _alone(wheels: Path) -> list[str]:
    """What comes as source is built by this region's own setuptools, which PYTHONPATH shows it: a
    build of its own would fetch one."""
    return ["--no-index", "--find-links", str(wheels), "--no-build-isolation"]


def fetch(lock: Path, folder: Path) -> Iterator[str]:
    """Bring the files that `lock` pins into `folder`, by pip: uv keeps no wheel as it came."""
    folder.mkdir(parents=True, exist_ok=True)
    yield f"fetching {_count(lock)} packages"
    _run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"),
            *("--disable-pip-version-check", "--require-hashes"),
            *("-r", str(lock), "--dest", str(folder)),
        ]
    )


def publish(making: Path, target: Path) -> None:
    """Readable by every uid, writable by none, then there in one step."""
    for folder, folders, files in os.walk(making):
        for name in (*folders, *files):
            _open_up(Path(folder) / name)
    _open_up(making)
    making.chmod(0o755)
    if target.exists():  # complete, from a build that died before it wrote its manifest
        shutil.rmtree(making)
        return
    os.sync()
    making.rename(target)


def _open_up(path: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        path.chmod(0o755)
    elif stat.S_ISREG(mode):
        path.chmod(0o555 if mode & 0o111 else 0o444)


def size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink())


def _count(lock: Path) -> int:
    return sum("==" in line for line in lock.read_text().splitlines())


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own command line, from a lock file
            command, capture_output=True, text=True, timeout=BUILD_S_MAX, check=False, umask=0o022
        )
    except FileNotFoundError as error:
        raise BuildFailed(f"{command[0]} is not there; tools/setup installs it") from error
    if done.returncode != 0:
        raise BuildFailed((done.stderr or done.stdout)[-TAIL_MAX:].strip())

"""Venvs of clients that are not ours, each from a lock file with hashes and made once for it."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bastide.cli.control import CommandFailed


def python_of(
    home: Path, lock: Path, making: Callable[[], AbstractContextManager[object]] = nullcontext
) -> Path:
    """The interpreter of the venv at `home`; made anew, inside `making()`, when `lock` changed."""
    python, mark = home / "bin" / "python", home / "lock.sha256"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if python.exists() and mark.exists() and mark.read_text() == digest:
        return python
    with making():
        _make(home, lock, python)
    mark.write_text(digest)
    return python


def _make(home: Path, lock: Path, python: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    steps: tuple[list[str | Path], ...] = (
        [uv, "venv", "-q", "--clear", "--python", sys.executable, home],
        [
            *(uv, "pip", "sync", "-q", "--compile-bytecode", "--python", python),
            *("--require-hashes", lock),
        ],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CommandFailed(f"{lock.name} cannot be installed:\n{done.stderr.strip()}")

"""Venvs of real clients, each from its own lock file, kept in the cache between runs."""

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.live import ROOT, cache_home

LOCKS = {
    "awscli": ROOT / "requirements" / "awscli.txt",
    "langchain": ROOT / "requirements" / "langchain.txt",
    "sagemaker-v2": ROOT / "src" / "bastide" / "cli" / "tour" / "requirements.txt",
}


def client_python(name: str) -> Path:
    """The interpreter of the venv of client `name`; made when its lock file has changed."""
    lock = LOCKS[name]
    home = cache_home() / "clients" / name
    mark = home / "lock.sha256"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    python = home / "bin" / "python"
    if mark.exists() and mark.read_text() == digest:
        return python
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, home], check=True)
    subprocess.run(
        [uv, "pip", "sync", "-q", "--python", python, "--require-hashes", lock], check=True
    )
    mark.write_text(digest)
    return python

"""Venvs of real clients, each from its own lock file, kept in the cache between runs."""

from pathlib import Path

from bastide.cli import venvs
from tests.live import ROOT, cache_home

LOCKS = {
    "awscli": ROOT / "requirements" / "awscli.txt",
    "langchain": ROOT / "requirements" / "langchain.txt",
    "sagemaker-v2": ROOT / "src" / "bastide" / "cli" / "tour" / "requirements.txt",
}


def client_python(name: str) -> Path:
    """The interpreter of the venv of client `name`; made when its lock file has changed."""
    return venvs.python_of(cache_home() / "clients" / name, LOCKS[name])

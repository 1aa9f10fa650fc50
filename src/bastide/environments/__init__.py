"""Environments: what SageMaker image URIs map to; immutable runtimes that jobs run in."""

from pathlib import Path


def locks_folder() -> Path:
    """Where the pinned requirement lists lie: `locks/NAME.txt` for the environment NAME."""
    return Path(__file__).parent / "locks"

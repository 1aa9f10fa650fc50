"""What a lock file pins: of each distribution one version, and the digests of the files of it."""

import re
from collections.abc import Mapping
from pathlib import Path

_PINNED = re.compile(  # `name==version`, or with `; marker`; its digests come behind it
    r"^([A-Za-z0-9._-]+)==([^ \\;\n]+)[^\\\n]*?(?= *(?:\\|--hash|$))", re.MULTILINE
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_SEPARATORS = re.compile(r"[-_.]+")
SOURCE = ".tar.gz"

Pins = Mapping[tuple[str, str], frozenset[str]]


def read(lock: Path) -> Pins:
    """The digests that a lock allows, by distribution and version."""
    text = lock.read_text()
    found = list(_PINNED.finditer(text))
    ends = [*(one.start() for one in found[1:]), len(text)][: len(found)]
    return {
        (plain(one[1]), one[2]): frozenset(_HASH.findall(text, one.end(), end))
        for one, end in zip(found, ends, strict=True)
    }


def of_file(name: str) -> tuple[str, str] | None:
    """The distribution and the version that a file's name says; None of what is neither a wheel nor
    a source."""
    if name.endswith(".whl"):
        parts = name.removesuffix(".whl").split("-")
        return (plain(parts[0]), parts[1]) if len(parts) in (5, 6) else None
    if name.endswith(SOURCE):
        distribution, dash, version = name.removesuffix(SOURCE).rpartition("-")
        return (plain(distribution), version) if dash else None
    return None


def with_digest(lock: str, which: tuple[str, str], digest: str) -> str:
    """The lock's text, in which one more file of a distribution is pinned."""

    def more(found: re.Match[str]) -> str:
        is_it = (plain(found[1]), found[2]) == which
        return f"{found[0]} \\\n    --hash=sha256:{digest}" if is_it else found[0]

    return _PINNED.sub(more, lock)


def plain(name: str) -> str:
    """PEP 503: the one spelling of a distribution's name."""
    return _SEPARATORS.sub("-", name).lower()

"""What a filter is given and what it says; and what an item that does not pass raises."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec

from bastide.transfer.model import Item, Sha256

LINE = ("types", "parser-a", "parser-b", "re-encode", "scan", "words", "label")
REWRITES = frozenset({"re-encode"})
Write = Callable[[bytes | memoryview], object]


class BadItem(Exception):
    """The item does not pass; the text says why, in words that tell nothing of its content."""


class SchemeSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A packaged scheme's name, or a site's own with its whole text."""

    name: str
    text: str = ""


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`previous`: the digest of what the filter before said, "" for the first. `ceilings`: up to
    which labels the sending and this region may hold. `words` to `scanner`: the site's own."""

    bundle: Sha256
    previous: str
    items: list[Item]
    scheme: SchemeSource
    ceilings: list[str]
    words: list[str]
    patterns: list[str]
    scanner: list[str]
    scanner_timeout_s: float


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The digests of the table of items and of their bytes end to end."""

    table: Sha256
    data: Sha256


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a filter signs. `meanings`: what the parsers made of each item, as a digest."""

    filter: str
    bundle: Sha256
    previous: str
    saw: Seen
    emitted: Seen
    items: list[Item]
    verdict: Literal["passed", "refused"]
    meanings: list[str] = []
    why: list[str] = []
    version: str = ""  # of the filters' code: "" in what was said before there were versions


def code_version() -> str:
    """The digest of the filters' code, as the process that asks would run it."""
    paths = sorted(Path(__file__).parent.glob("*.py"))
    listed = [[path.name, sha256(path.read_bytes()).hexdigest()] for path in paths]
    return sha256(msgspec.json.encode(listed)).hexdigest()


def table_digest(items: list[Item]) -> str:
    """What all that is said of the items amounts to."""
    return sha256(msgspec.json.encode(items, order="sorted")).hexdigest()

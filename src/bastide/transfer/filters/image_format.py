"""Container images as the gate carries them: one tree in one TAR, by two readers, and what is said
of it. No list names an image's bytes: two people vouch for the digest that the line ends with.
"""

import io
import re
import tarfile
from collections.abc import Iterator
from hashlib import sha256

import msgspec

from bastide.environments import carried
from bastide.environments.carried import FILE, PIECE_BYTES, Entry, NotPlain
from bastide.transfer.filters.canonical import digest
from bastide.transfer.filters.model import BadItem, Write
from bastide.transfer.model import Item

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,127}(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]{0,127}){1,8}"
                  r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?")  # fmt: skip
PRELOADED = "etc/ld.so.preload"  # what every program of the image would load
_TESTED = b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE"


class _Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    digest: str
    env: str
    entrypoint: str
    workdir: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How an image's programs start. `digest`: the image that the tree was unpacked from."""

    digest: str
    env: dict[str, str]
    entrypoint: tuple[str, ...]
    workdir: str


def told(run: Run) -> dict[str, str]:
    """As it is said of an item."""
    return {
        "digest": run.digest,
        "env": msgspec.json.encode(run.env, order="sorted").decode(),
        "entrypoint": msgspec.json.encode(run.entrypoint).decode(),
        "workdir": run.workdir,
    }


def run_of(item: Item) -> Run:
    """What is said of an image. Raises BadItem for what is not said in the one way."""
    try:
        said = msgspec.convert(item.provenance, _Said)
        run = Run(
            digest=said.digest,
            env=msgspec.json.decode(said.env, type=dict[str, str]),
            entrypoint=msgspec.json.decode(said.entrypoint, type=tuple[str, ...]),
            workdir=said.workdir,
        )
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise BadItem("what is said of it is not what is said of an image") from None
    words = [run.workdir, *run.env, *run.env.values(), *run.entrypoint]
    if told(run) != dict(item.provenance) or any("\0" in one for one in words):
        raise BadItem("what is said of it is not said in the one way")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", run.digest):
        raise BadItem("the image that it says it was is none")
    if not run.workdir.startswith("/") or ".." in run.workdir.split("/"):
        raise BadItem("it starts outside of itself")
    return run


def check(item: Item) -> None:
    """Raises BadItem."""
    if item.headers or item.metadata or item.tags:
        raise BadItem("something is said of it, beside how it starts")
    if not NAME.fullmatch(item.name):
        raise BadItem("its name is none of an image")
    run_of(item)


def parse_a(data: memoryview) -> str:
    return digest([_meaning(one, sha256(_bytes(data, one)).hexdigest()) for one in _all(data)])


def parse_b(data: memoryview) -> str:
    found = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for one in archive:
                file = archive.extractfile(one) if one.isreg() else None
                running = sha256()
                while file and (piece := file.read(PIECE_BYTES)):
                    running.update(piece)
                is_program = one.isreg() and bool(one.mode & 0o111)
                row = [one.name, one.type.decode(), one.size, is_program, one.linkname]
                found.append([*row, running.hexdigest()])
    except (tarfile.TarError, ValueError, OSError, EOFError):
        raise BadItem("Python's reader of tar refuses it") from None
    return digest(found)


def rebuild(data: memoryview, write: Write) -> None:
    for one in _all(data):
        write(carried.head(one))
        write(_bytes(data, one))
        write(bytes(-one.size % carried.BLOCK))
    write(carried.END)


def begins(data: memoryview) -> bool:
    return bytes(data[257:265]) == b"ustar\x0000"


def texts(data: memoryview) -> Iterator[str]:
    """Names, where links lead, and the files that are texts."""
    for one in _all(data):
        yield f"{one.name} {one.link}"
        if one.kind == FILE:
            raw = bytes(_bytes(data, one))
            if b"\0" not in raw:
                yield raw.decode("utf-8", "replace")


def scan(data: memoryview) -> None:
    for one in _all(data):
        if one.name == PRELOADED:
            raise BadItem("it holds what every program would load")
        if one.kind == FILE and _TESTED in bytes(_bytes(data, one)):
            raise BadItem("it holds the test pattern of anti-virus programs")


def _meaning(one: Entry, seen: str) -> list[object]:
    return [one.name, one.kind.decode(), one.size, one.is_program, one.link, seen]


def _bytes(data: memoryview, one: Entry) -> memoryview:
    return data[one.at : one.at + one.size]


def _all(data: memoryview) -> Iterator[Entry]:
    found = False
    try:
        for one in carried.entries(data):
            found = True
            yield one
    except NotPlain as error:
        raise BadItem(str(error)) from None
    if not found:
        raise BadItem("it holds nothing")

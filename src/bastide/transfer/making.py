"""A bundle in the making: a folder that outlives a crash, in which the same order is gone on with.

What is asked is where to, from where, and each source in the very state that it is in: another
state is another order, and what was made of the old one is thrown away. So two states never mix.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from errno import EDQUOT, ENOSPC
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bastide.db import durable
from bastide.transfer.model import CHUNK_BYTES, Item, Origin, Refused, chunk_name

SUFFIX = ".making"
KEPT_FOR = timedelta(days=7)


class Source(Protocol):
    """Something to carry. `open` answers it as it is now, and its bytes; `state` is another one
    whenever either would be."""

    @property
    def size(self) -> int: ...

    @property
    def state(self) -> str: ...

    def open(self) -> tuple[Item, Iterator[bytes]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a bundle is to say of itself; `base` is the digest of an earlier one, or ""."""

    id: str
    to: str
    origin: Origin
    created: str
    base: str = ""


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A chunk that is on disk; or else what the next source became, None if it was left out."""

    chunk: str = ""
    item: Item | None = None


@dataclass(slots=True, kw_only=True)
class Half:
    """A bundle that is half made in `folder`: full chunks by their digests, and the sources that
    lie in them to their ends."""

    folder: Path
    order: Order
    chunks: list[str] = field(default_factory=list)
    sources: list[Item | None] = field(default_factory=list)
    _journal: int = -1

    @property
    def items(self) -> list[Item]:
        return [one for one in self.sources if one is not None]

    def checked(self) -> Iterator[dict[str, Any]]:
        """Keep of it what is what the journal says, and throw the rest away."""
        total, good = max(1, len(self.chunks)), 0
        for number, digest in enumerate(self.chunks):
            yield {"step": "checking what is there", "done": number, "total": total}
            if not _is_chunk(self.folder / chunk_name(number), digest):
                break
            good += 1
        del self.chunks[good:]
        at = 0
        for number, item in enumerate(self.sources):
            at += item.size if item else 0
            if at > good * CHUNK_BYTES:
                del self.sources[number:]
                break
        for path in self.folder.glob("*.chunk"):
            if path.name >= chunk_name(good):
                path.unlink()
        self._begin_journal()

    def add_chunk(self, digest: str) -> None:
        """It is on disk."""
        self._write(_Line(chunk=digest))

    def add_source(self, item: Item | None) -> None:
        self._write(_Line(item=item))

    def close(self) -> None:
        if self._journal >= 0:
            os.close(self._journal)

    def _begin_journal(self) -> None:
        lines: list[Any] = [self.order, *(_Line(chunk=one) for one in self.chunks)]
        lines += [_Line(item=one) for one in self.sources]
        path = _journal_in(self.folder)
        durable.replace(path, b"".join(map(_text, lines)))
        self._journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def _write(self, line: _Line) -> None:
        os.write(self._journal, _text(line))


@contextmanager
def begun(folder: Path, name: str, order: Order) -> Iterator[Half]:
    """What there is of the bundle that is asked for by `name`, for nobody else meanwhile. It stays
    when this is broken off, and goes when it is refused."""
    place = folder / f".{name}{SUFFIX}"
    request = place.name.partition("-")[0]
    for other in folder.glob(f"{request}-*{SUFFIX}"):
        if other != place:
            _give_up(other)
    place.mkdir(mode=0o700, exist_ok=True)
    with _alone(place):
        for torn in place.glob(".*.tmp"):
            torn.unlink()
        half = _read(place) or Half(folder=place, order=order)
        try:
            yield half
        except Refused:
            shutil.rmtree(place, ignore_errors=True)
            raise
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise
            raise Refused("the disk is full; asked for again, it goes on where it was") from error
        finally:
            half.close()


def name_of(order: Order, sources: Sequence[Source]) -> str:
    """What is asked for, and after a dash in which state."""
    asked = sha256(msgspec.json.encode((order.to, order.origin, order.base)))
    state = sha256()
    for source in sources:
        state.update(sha256(source.state.encode()).digest())
    return f"{asked.hexdigest()[:32]}-{state.hexdigest()[:32]}"


def journal_of(name: str) -> str:
    return f"{name}.journal"


def _journal_in(place: Path) -> Path:
    return place / journal_of(place.name.removeprefix(".").removesuffix(SUFFIX))


def sweep(folder: Path, now: datetime) -> None:
    """Throw away what nobody went on with."""
    for place in folder.glob(f".*{SUFFIX}"):
        half = _read(place)
        if half is None or datetime.fromisoformat(half.order.created) + KEPT_FOR < now:
            _give_up(place)


def _give_up(place: Path) -> None:
    try:
        with _alone(place):
            shutil.rmtree(place, ignore_errors=True)
    except (Refused, FileNotFoundError):
        return  # somebody is at it, or was quicker


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("it is being made already") from None
        yield
    finally:
        os.close(descriptor)


def _read(place: Path) -> Half | None:
    """As the journal says; its last line may be torn."""
    try:
        first, *lines = _journal_in(place).read_bytes().split(b"\n")[:-1]
        half = Half(folder=place, order=msgspec.json.decode(first, type=Order))
    except (FileNotFoundError, ValueError):
        return None
    for text in lines:
        try:
            line = msgspec.json.decode(text, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            break
        if line.chunk:
            half.chunks.append(line.chunk)
        else:
            half.sources.append(line.item)
    return half


def _is_chunk(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest() == digest and file.tell() == CHUNK_BYTES
    except FileNotFoundError:
        return False


def _text(line: object) -> bytes:
    return msgspec.json.encode(line) + b"\n"

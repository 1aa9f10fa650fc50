"""The end of the gate: what the whole line passed, and people agreed to, goes to where it is meant.

The agreement is written down before the first object is put: a release that a crash cuts short
goes on under it, and no agreement serves twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from bastide.db import durable
from bastide.transfer.bundles import Bundle, Steps
from bastide.transfer.line import Line, Passed
from bastide.transfer.model import Item, Refused
from bastide.transfer.ports import Consent, Deed

BLOCK_BYTES = 1 << 20
RELEASERS = 2
DOES_BYTES_MAX = 1 << 20  # an action that officers sign has twice the room, for its escapes
Read = Callable[[Item], bytes]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where objects go: `prefix` stands before their keys. Models go to the region's shelf."""

    account: str  # "" of an agency that is not there yet
    bucket: str
    prefix: str
    agency: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """How many people must agree, and what they are told of the way that it came."""

    people: int
    direction: Literal["up", "down"]


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed to, by whom; `done` once all of it is there."""

    deed: str
    people: list[str]
    approval: str = ""
    plan: list[str] = []
    account: str | None = None
    done: bool = False


class Shelves(Protocol):
    """Where released items are put."""

    def check(self, target: Target, items: Sequence[Item], read: Read) -> list[str]:
        """What a release will do beside putting objects and weights, in words. Raises Refused
        where they could not be put."""
        ...

    def put(self, target: Target, item: Item, pieces: Iterator[bytes]) -> None: ...

    def finish(
        self, target: Target, items: Sequence[Item], read: Read, plan: Sequence[str]
    ) -> Iterator[str]:
        """Once all are put; tells what it is about to do. Nothing that `plan` does not say."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """`agree` answers who approved a deed, or raises Refused."""

    folder: Path
    line: Line
    shelves: Shelves
    agree: Callable[[Deed], Consent]

    def release(self, bundle: Bundle, target: Target, asked: Asked) -> Steps:
        """Last `{"released": Agreement}`. Raises Refused."""
        passed = self.line.passed(bundle)
        begun = self.of(bundle.digest)
        items, done, read = passed.told.items, 0, partial(_read, passed)
        # One that a crash cut short goes on as it was agreed, whatever it has done of that.
        plan = self.shelves.check(target, items, read) if begun is None else begun.plan
        account = "" if begun is not None and begun.account == "" else target.account
        meant = msgspec.structs.replace(target, account=account)
        agreement = self._agreed(bundle, _deed(bundle, meant, passed, asked, plan), plan)
        for number, (item, pieces) in enumerate(_items(passed)):
            self.shelves.put(target, item, pieces)
            done += item.size
            yield {"step": "releasing", "done": number + 1, "total": len(items)}
        for step in self.shelves.finish(target, items, read, plan):
            yield {"step": step}
        agreement = msgspec.structs.replace(agreement, done=True)
        durable.replace(self._path(bundle.digest), msgspec.json.encode(agreement))
        yield {"released": agreement}

    def of(self, digest: str) -> Agreement | None:
        try:
            return msgspec.json.decode(self._path(digest).read_bytes(), type=Agreement)
        except FileNotFoundError:
            return None

    def _agreed(self, bundle: Bundle, deed: Deed, plan: list[str]) -> Agreement:
        found = self.of(bundle.digest)
        if found is not None and found.done:
            raise Refused("it was released before")
        if found is not None and found.deed == deed.digest:
            return found  # a crash cut it short
        if found is not None:
            raise Refused("its release to another place has begun")
        consent = self.agree(deed)
        agreement = Agreement(
            deed=deed.digest,
            people=list(consent.people),
            approval=consent.approval,
            plan=plan,
            account=deed.account,
        )
        durable.folder(self.folder)
        durable.replace(self._path(bundle.digest), msgspec.json.encode(agreement))
        return agreement

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"


def _deed(bundle: Bundle, target: Target, passed: Passed, asked: Asked, plan: list[str]) -> Deed:
    """The exact action: these bytes, as these filters passed them, to this place, and what they
    do there."""
    does = "\n".join(" ".join(one.splitlines()) for one in plan)
    if len(does.encode()) > DOES_BYTES_MAX:
        raise Refused("what it does is more than officers can be shown: carry less at once")
    place = [target.account, target.bucket, target.prefix]
    place += [] if target.account else [target.agency]
    exact = [bundle.digest, passed.chain, *place, *plan]
    return Deed(
        name="ReleaseTransfer",
        digest=sha256(msgspec.json.encode(exact)).hexdigest(),
        people=asked.people,
        account=target.account,
        facts={
            "bundle": bundle.digest,
            "from": bundle.statement.predicate.origin.region,
            "direction": asked.direction,
            "bucket": target.bucket,
            "prefix": target.prefix,
            **({"does": does} if plan else {}),
        },
    )


def _items(passed: Passed) -> Iterator[tuple[Item, Iterator[bytes]]]:
    at = 0
    for item in passed.told.items:
        yield item, _pieces(passed.data, at, item)
        at += item.size


def _read(passed: Passed, wanted: Item) -> bytes:
    return b"".join(b"".join(pieces) for item, pieces in _items(passed) if item == wanted)


def _pieces(path: Path, at: int, item: Item) -> Iterator[bytes]:
    """An item's bytes; its last piece is only given once the digest of all held."""
    digest, left = sha256(), item.size
    with path.open("rb") as file:
        file.seek(at)
        while left:
            piece = file.read(min(BLOCK_BYTES, left))
            if not piece:
                raise Refused("what the filters passed has become shorter")
            left -= len(piece)
            digest.update(piece)
            if not left and digest.hexdigest() != item.sha256:
                raise Refused("what the filters passed has changed")
            yield piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """An item as the line wrote it, as the source of another bundle."""

    passed: Passed
    at: int
    item: Item

    @property
    def size(self) -> int:
        return self.item.size

    @property
    def state(self) -> str:
        return f"{self.at} {self.item}"  # its digest is the item's

    def open(self) -> tuple[Item, Iterator[bytes]]:
        return self.item, _pieces(self.passed.data, self.at, self.item)


def rewritten(passed: Passed) -> list[Rewritten]:
    found, at = [], 0
    for item in passed.told.items:
        found.append(Rewritten(passed=passed, at=at, item=item))
        at += item.size
    return found

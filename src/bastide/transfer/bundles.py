"""Bundles on disk: a folder named by the digest of what is signed, whole or not there."""

import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from bastide.db import durable
from bastide.transfer import chunks, dsse, making
from bastide.transfer.making import Half, Order, Source
from bastide.transfer.model import (
    BUNDLE_BYTES_MAX,
    CHUNK_BYTES,
    DIGEST,
    ENVELOPE_BYTES_MAX,
    ITEMS_MAX,
    Item,
    Predicate,
    Refused,
    Statement,
    decoded,
    encoded,
    fingerprint,
)

ENVELOPE = "bundle.json"
Steps = Iterator[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle whose signatures held; its chunks are checked when they are read."""

    digest: str
    folder: Path
    statement: Statement

    def crossing_bytes(self) -> int:
        """All that leaves a region with it: what is said of the items too."""
        return self.statement.predicate.size + len(read_envelope(self.folder))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundles:
    """The bundles in one folder."""

    folder: Path

    def make(self, order: Order, sources: Sequence[Source], signer: dsse.Signer) -> Steps:
        """Yields progress, last `{"made": Bundle}`. One that ends half-way is never listed, and
        goes on when the same is asked for again: as if it had been made in one go."""
        if len(sources) > ITEMS_MAX:
            raise Refused(f"more than {ITEMS_MAX} items")
        durable.folder(self.folder)
        name = making.name_of(order, sources)
        bundle = self._made(name)
        if bundle is None:
            with making.begun(self.folder, name, order) as half:
                envelope = half.folder / ENVELOPE
                if not envelope.exists():
                    yield from half.checked()
                    written = yield from self._written(half, sources, signer)
                    durable.create(envelope, written)
                bundle = self._published(half, signer.public)
        yield {"made": bundle}
        (bundle.folder / making.journal_of(name)).unlink(missing_ok=True)

    def _made(self, name: str) -> Bundle | None:
        """One that is whole, and whoever asked for it never learned of: its journal is there."""
        for path in self.folder.glob(f"*/{making.journal_of(name)}"):
            if DIGEST.fullmatch(path.parent.name):
                return self.unchecked(path.parent.name)
        return None

    def _written(
        self, half: Half, sources: Sequence[Source], signer: dsse.Signer
    ) -> Generator[dict[str, Any], None, bytes]:
        """The chunks, and the envelope that is to come last."""
        order = half.order
        have = self.state(order.base) if order.base else {}
        total, items = sum(source.size for source in sources), half.items
        done = sum(source.size for source in sources[: len(half.sources)])
        with (
            ThreadPoolExecutor(1, "transfer-digest") as digests,
            ThreadPoolExecutor(1, "transfer-sync") as syncs,
            closing(chunks.Packer(half, digests, syncs)) as packer,
        ):
            for source in sources[len(half.sources) :]:
                if have and _unchanged(source, have):
                    done += source.size
                    half.add_source(None)
                    continue
                item, pieces = source.open()
                for told in packer.add(pieces):
                    if isinstance(told, tuple):
                        items.append(_sized(item, *told))
                        half.add_source(items[-1])
                        continue
                    done += told
                    if packer.size > BUNDLE_BYTES_MAX:
                        raise Refused(f"more than {BUNDLE_BYTES_MAX} bytes")
                    yield {"step": "packing", "done": done, "total": max(total, done, 1)}
            subjects = packer.finish()
        predicate = Predicate(
            id=order.id, to=order.to, origin=order.origin, created=order.created,
            base=order.base, size=packer.size, chunk_bytes=CHUNK_BYTES, items=items,
        )  # fmt: skip
        envelope = signer.sign(encoded(Statement(subject=subjects, predicate=predicate)))
        if len(envelope) > ENVELOPE_BYTES_MAX:
            raise Refused("what is said of the items takes too much room")
        return envelope

    def _published(self, half: Half, keys: dsse.PublicKeys) -> Bundle:
        payload = keys.open(read_envelope(half.folder))
        digest = dsse.digest_of(payload)
        half.folder.rename(self.folder / digest)
        durable.sync_folder(self.folder)
        return Bundle(digest=digest, folder=self.folder / digest, statement=decoded(payload))

    def state(self, digest: str) -> dict[tuple[str, str], str]:
        """What a bundle and those below it carried, as it was last: its items' fingerprints."""
        line, seen = [], set()
        while digest:
            if digest in seen:
                raise Refused("the bases of the bundle go round in a circle")
            seen.add(digest)
            line.append(self.unchecked(digest).statement)
            digest = line[-1].predicate.base
        return {
            (item.kind, item.name): fingerprint(item)
            for statement in reversed(line)
            for item in statement.predicate.items
        }

    def digests(self) -> list[str]:
        """Those that are whole: the envelope is what came last."""
        found = self.folder.glob(f"*/{ENVELOPE}")
        return sorted(path.parent.name for path in found if DIGEST.fullmatch(path.parent.name))

    def named(self, start: str) -> str:
        """The digest that begins with `start`. Raises Refused unless there is exactly one."""
        found = [digest for digest in self.digests() if start and digest.startswith(start)]
        if len(found) != 1:
            what = "more than one" if found else "no"
            raise Refused(f"there is {what} bundle {start[:64]!r} here")
        return found[0]

    def unchecked(self, digest: str) -> Bundle:
        """By its digest alone: for what was checked when it came into this folder."""
        payload = dsse.unverified(self.envelope(digest))
        return self._bundle(digest, payload)

    def opened(self, digest: str, keys: dsse.PublicKeys) -> Bundle:
        """A bundle that `keys` signed. Raises Refused."""
        return self._bundle(digest, keys.open(self.envelope(digest)))

    def envelope(self, digest: str) -> bytes:
        if not DIGEST.fullmatch(digest):
            raise Refused(f"{digest[:64]!r} is no digest of a bundle")
        try:
            return read_envelope(self.folder / digest)
        except FileNotFoundError:
            raise Refused(f"there is no bundle {digest} here") from None

    def _bundle(self, digest: str, payload: bytes) -> Bundle:
        if dsse.digest_of(payload) != digest:
            raise Refused("it is not the bundle that its name says")
        return Bundle(digest=digest, folder=self.folder / digest, statement=decoded(payload))


def read_envelope(folder: Path) -> bytes:
    """The envelope in a folder that a stranger wrote: a plain file, of a bounded size."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(folder / ENVELOPE, "rb", opener=lambda path, _: os.open(path, flags)) as file:
        data = file.read(ENVELOPE_BYTES_MAX + 1)
    if len(data or b"") > ENVELOPE_BYTES_MAX:
        raise Refused("its envelope is too large")
    return data or b""


def inspected(bundle: Bundle) -> Steps:
    """Read a bundle to its end: every chunk and every item must be what was signed."""
    predicate = bundle.statement.predicate
    done = 0
    with ThreadPoolExecutor(1, "transfer-digest") as executor:
        for _, piece in chunks.verified(bundle.folder, bundle.statement, executor):
            done += len(piece)
            yield {"step": "checking digests", "done": done, "total": chunks.total(predicate)}


def _unchanged(source: Source, have: dict[tuple[str, str], str]) -> bool:
    """Whether the bundle below carried just this: told by reading it once more."""
    item, pieces = source.open()
    if (item.kind, item.name) not in have:
        return False
    digest, size = sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return have[item.kind, item.name] == fingerprint(_sized(item, size, digest.hexdigest()))


def _sized(item: Item, size: int, digest: str) -> Item:
    return msgspec.structs.replace(item, size=size, sha256=digest)

"""The spool: a folder that the sending side only writes and the receiving side only reads.

Removable media and the file proxies of hardware diodes work in the same way. A file gets its name
when it is whole, and the envelope comes last; so whatever is named may be read. No answer ever
travels back: what was sent stays until the sending side's people clear it away.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bastide.db import durable
from bastide.kernel.clock import Clock
from bastide.transfer import chunks
from bastide.transfer.bundles import ENVELOPE, Bundle, Bundles, Steps, read_envelope
from bastide.transfer.model import DIGEST, Refused, Statement, chunk_size
from bastide.transfer.signing import TrustStore, vouched

PLACES_MAX = 100_000


def send(bundle: Bundle, spool: Path) -> Steps:
    """Lay a bundle into the spool. Begun again after a crash, it goes on where it was."""
    predicate = bundle.statement.predicate
    spool.mkdir(parents=True, exist_ok=True)
    with _opened(spool, predicate.to, bundle.digest) as place:
        done = 0
        for number, subject in enumerate(bundle.statement.subject):
            if not _is_there(place, subject.name):
                data = chunks.read_chunk(bundle.folder, bundle.statement, number)
                _lay(place, subject.name, data)
            done += chunk_size(predicate, number)
            yield {"step": "sending", "done": done, "total": chunks.total(predicate)}
        if not _is_there(place, ENVELOPE):
            _lay(place, ENVELOPE, read_envelope(bundle.folder))


@contextmanager
def _opened(spool: Path, *below: str) -> Iterator[int]:
    """A folder in the spool, made where it is missing. No link is followed on the way to it: people
    released it for this one, and others may write in a spool. Raises Refused."""
    with ExitStack() as stack:
        try:
            here = _step(stack, spool.anchor)
            for name in spool.parts[1:]:
                here = _step(stack, name, here)
            for name in below:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=here)
                here = _step(stack, name, here)
        except (NotADirectoryError, FileNotFoundError) as error:
            raise Refused(f"{spool} is not the folder that it was, or leads elsewhere") from error
        yield here


def _step(stack: ExitStack, name: str, above: int | None = None) -> int:
    """To be passed through and written to, it need not be readable."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=above)
    stack.callback(os.close, descriptor)
    return descriptor


def _is_there(place: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _lay(place: int, name: str, data: bytes) -> None:
    """As `durable.create`, but in a folder that may be written and not read: so the name is made
    durable by a second sync of the file, which carries the rename along in the journal. Nothing is
    written to that was there: others may lay links in a spool."""
    aside = f".{name}.{secrets.token_hex(8)}.laying"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(aside, flags, 0o644, dir_fd=place)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
        os.rename(aside, name, src_dir_fd=place, dst_dir_fd=place)
        os.fsync(descriptor)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger keeps of a bundle that was taken in."""

    digest: str
    region: str
    received: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """The bundles that ever came in: none comes in twice, under whatever envelope."""

    folder: Path

    def has(self, digest: str) -> bool:
        return (self.folder / digest).exists()

    def add(self, seen: Seen) -> None:
        durable.folder(self.folder)
        if not durable.create(self.folder / seen.digest, msgspec.json.encode(seen)):
            raise Refused("it was received before")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Picks up what is in the spool for `region`. `arrived` holds what was taken in."""

    region: str
    clock: Clock
    trust: TrustStore
    arrived: Bundles
    ledger: Ledger
    size_max: int

    def waiting(self, spool: Path) -> Iterator[str]:
        """The names of the whole bundles that lie there for this region and are not here yet."""
        place = spool / self.region
        try:
            names = sorted(os.listdir(place))[:PLACES_MAX]
        except OSError as error:
            raise Refused(f"{place} cannot be read: {error.strerror}") from None
        for name in names:
            whole = DIGEST.fullmatch(name) and os.path.lexists(place / name / ENVELOPE)
            if whole and not self.is_here(name):
                yield name

    def is_here(self, digest: str) -> bool:
        return self.ledger.has(digest)

    def take(self, spool: Path, digest: str) -> Steps:
        """Take one bundle in, whole and verified; last `{"made": Bundle}`. Begun again after a
        crash, it goes on where it was. Raises Refused."""
        place = spool / self.region / digest
        envelope, statement = self._vouched(place, digest)
        if digest not in self.arrived.digests():
            yield from self._copied(place, digest, envelope, statement)
        self.ledger.add(
            Seen(
                digest=digest,
                region=statement.predicate.origin.region,
                received=self.clock.now().isoformat(timespec="seconds"),
            )
        )
        yield {"made": self.arrived.unchecked(digest)}

    def _vouched(self, place: Path, digest: str) -> tuple[bytes, Statement]:
        """The envelope and its statement, once all that can be known before a chunk is known."""
        try:
            envelope = read_envelope(place)
        except OSError as error:
            raise Refused(f"its envelope cannot be read: {error.strerror}") from None
        statement = vouched(
            digest, envelope, trust=self.trust, region=self.region, size_max=self.size_max
        )
        base = statement.predicate.base
        if base and not self.is_here(base):
            raise Refused(f"it adds to bundle {base}, which never came here")
        return envelope, statement

    def _copied(self, place: Path, digest: str, envelope: bytes, statement: Statement) -> Steps:
        predicate = statement.predicate
        aside = self.arrived.folder / f".{digest}.arriving"
        durable.folder(aside)
        done = 0
        for number, subject in enumerate(statement.subject):
            if not (aside / subject.name).exists():  # named once its digest held
                durable.create(aside / subject.name, chunks.read_chunk(place, statement, number))
            done += chunk_size(predicate, number)
            yield {"step": "receiving", "done": done, "total": chunks.total(predicate)}
        durable.replace(aside / ENVELOPE, envelope)
        aside.rename(self.arrived.folder / digest)
        durable.sync_folder(self.arrived.folder)

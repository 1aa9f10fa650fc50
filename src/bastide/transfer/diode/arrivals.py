"""The receiving end: datagrams of strangers become bundles in the spool, whole or not at all.

A bundle is named by the digest of its statement, and the statement names its chunks by theirs. So
who sends rubbish makes rubbish under its own name, and no other; whose bundle it is, the signatures
say later (`spool.Receiver`). Everything that a stranger can make grow is bounded; whoever holds the
most gives way first.
"""

import logging
import os
import shutil
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from bastide.db import durable
from bastide.kernel.clock import Clock
from bastide.transfer import dsse
from bastide.transfer.bundles import ENVELOPE as ENVELOPE_NAME
from bastide.transfer.diode import datagram as wire
from bastide.transfer.diode.datagram import ENVELOPE, File
from bastide.transfer.diode.erasure import Shape
from bastide.transfer.diode.incoming import (
    ARRIVING,
    SPARE_BYTES,
    STATE,
    State,
    published_bytes,
)
from bastide.transfer.diode.parts import PART, SUFFIXES, Part, finish, part_path, whole_path
from bastide.transfer.model import DIGEST, Refused, Statement, chunk_size, decoded

TEND_S = 0.5
MISSING_TOLD = 20
REFUSED_MAX = 10_000
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`bytes_max`: of a bundle; on disk there may be twice that."""

    bytes_max: int
    bundles_max: int = 64
    parts_max: int = 1024  # of a bundle whose envelope is not here
    open_max: int = 32
    age_s: float = 7 * 86_400.0


class Hands(Protocol):
    """What takes long is done beside the socket, one work at a time."""

    def begin(self, work: Callable[[], bool]) -> None: ...

    def ended(self) -> bool | None:
        """How the work ended; None while there is none that did."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Arrival:
    """A bundle that is not whole yet. `source`: who sent the first of it."""

    digest: bytes
    source: str
    folder: Path
    changed_s: float
    statement: Statement | None = None
    sizes: dict[bytes, int] = field(default_factory=dict)  # of the chunks that the statement names
    whole: set[bytes] = field(default_factory=set)
    parts: dict[File, int] = field(default_factory=dict)  # what each takes on disk
    lacking: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    whole_bytes: int = 0
    is_told: bool = False

    @property
    def bytes(self) -> int:
        return self.whole_bytes + sum(self.parts.values())

    def wants(self, file: File) -> bool:
        if file.kind == ENVELOPE:  # also where its bytes are here as a chunk: a stranger's trick
            return self.statement is None
        if file.digest in self.whole:
            return False
        return self.statement is None or self.sizes.get(file.digest) == file.shape.size

    def is_complete(self) -> bool:
        return self.statement is not None and self.sizes.keys() <= self.whole


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """What arrives in `folder`, a spool, for `region`."""

    folder: Path
    region: str
    limits: Limits
    clock: Clock
    hands: Hands
    _bundles: dict[bytes, Arrival] = field(default_factory=dict)
    _open: OrderedDict[bytes, Part] = field(default_factory=OrderedDict)
    _ending: dict[bytes, Callable[[bool], None]] = field(default_factory=dict)
    _queue: OrderedDict[bytes, deque[tuple[bytes, Callable[[], bool]]]] = field(
        default_factory=OrderedDict
    )  # by bundle: each has its turn
    _working: bytes | None = None
    _refused: set[bytes] = field(default_factory=set)
    _tended_s: float = 0.0

    def load(self) -> None:
        """At start: go on with what was here."""
        durable.folder(self.folder / ARRIVING, 0o755)
        durable.folder(self.folder / self.region, 0o755)
        for folder in sorted((self.folder / ARRIVING).iterdir()):
            if DIGEST.fullmatch(folder.name):
                self._load(folder)
        self.tend()

    def take(self, datagram: bytes, source: str) -> None:
        """One datagram, of whatever kind."""
        of = datagram[: wire.OF_BYTES]
        part = self._open.get(of) or self._opened(datagram, of, source)
        if part is None:
            return
        slot = wire.slot_of(datagram, part.file.shape)
        if slot is None:
            return
        part.put(slot, datagram[wire.HEAD_BYTES :])
        if part.lacking == 0:
            self._finish(of, part)

    def tend(self) -> None:
        """What must be done now and then; called often."""
        self._go_on()
        now_s = self.clock.monotonic_s()
        if now_s - self._tended_s < TEND_S:
            return
        self._tended_s = now_s
        for part in self._open.values():
            if not part.is_saved:
                self._save(part)
        for arrival in list(self._bundles.values()):
            if self._now() - arrival.changed_s > self.limits.age_s:
                self._forget(arrival)
            else:
                self._publish_complete(arrival)  # where it failed before: the disk was full
        self._keep_to_size()
        for arrival in self._bundles.values():
            if not arrival.is_told:
                self._tell(arrival)

    # Opening -------------------------------------------------------------------------------------

    def _opened(self, datagram: bytes, of: bytes, source: str) -> Part | None:
        """The part that a datagram is of; None where nothing more of it is wanted."""
        file = wire.file_of(datagram)
        if file is None or of in self._ending or wire.slot_of(datagram, file.shape) is None:
            return None
        arrival = self._bundles.get(file.bundle) or self._begun(file.bundle, source)
        if arrival is None or not arrival.wants(file):
            return None
        if file not in arrival.parts:
            held = len(arrival.parts) + len(arrival.whole)
            if held >= self.limits.parts_max + 2 * len(arrival.sizes):
                return None
            arrival.parts[file] = 0
        part = self._open[of] = Part(file, arrival.folder)
        if len(self._open) > self.limits.open_max:
            self._close(self._open.popitem(last=False)[1])
        return part

    def _begun(self, digest: bytes, source: str) -> Arrival | None:
        name = digest.hex()
        if digest in self._refused or (self.folder / self.region / name).exists():
            return None
        while len(self._bundles) >= self.limits.bundles_max:
            self._forget(self._first_to_go(source))
        made = Arrival(
            digest=digest,
            source=source,
            folder=self.folder / ARRIVING / name,
            changed_s=self._now(),
        )
        made.folder.mkdir(exist_ok=True)
        self._bundles[digest] = made
        return made

    def _close(self, part: Part) -> None:
        arrival = self._bundles[part.file.bundle]
        if part.is_worth_it:
            self._save(part)
        else:
            part.path.unlink(missing_ok=True)
            arrival.parts.pop(part.file, None)
            arrival.lacking.pop(part.file.digest, None)
        part.close()

    def _save(self, part: Part) -> None:
        arrival = self._bundles[part.file.bundle]
        arrival.parts[part.file] = part.save()
        arrival.lacking[part.file.digest] = (part.lacking, part.file.shape.rows)
        arrival.changed_s, arrival.is_told = self._now(), False

    # Ending --------------------------------------------------------------------------------------

    def _finish(self, of: bytes, part: Part) -> None:
        file, arrival = part.file, self._bundles[part.file.bundle]
        self._save(part)
        del self._open[of]
        part.close()
        work = partial(finish, file, arrival.folder, part.marks)
        self._ask(arrival, of, work, partial(self._finished, arrival, file))

    def _finished(self, arrival: Arrival, file: File, is_it: bool) -> None:
        arrival.lacking.pop(file.digest, None)
        arrival.parts.pop(file, None)
        arrival.is_told = False
        if self._bundles.get(arrival.digest) is not arrival or not is_it:
            return
        arrival.whole.add(file.digest)
        arrival.whole_bytes += file.shape.size
        if file.kind == ENVELOPE:
            self._learn(arrival, whole_path(file, arrival.folder))
        self._publish_complete(arrival)

    def _learn(self, arrival: Arrival, path: Path) -> None:
        """Read an envelope: which files there are. One that is not this bundle's is thrown away."""
        if arrival.statement is not None:
            path.unlink()
            return
        try:
            payload = dsse.unverified(path.read_bytes())
            if dsse.digest_of(payload) != arrival.digest.hex():
                raise Refused("it is not the envelope of this bundle")
            statement = decoded(payload)
        except Refused as error:
            logger.warning("bundle %s: %s", arrival.digest.hex(), error)
            arrival.whole.discard(bytes.fromhex(path.stem))
            path.unlink()
            return
        predicate = statement.predicate
        if predicate.to != self.region or predicate.size > self.limits.bytes_max:
            self._refuse(arrival)
            return
        arrival.statement = _without_items(statement)  # a stranger's may fill the memory
        for number, subject in enumerate(statement.subject):
            arrival.sizes[bytes.fromhex(subject.digest["sha256"])] = chunk_size(predicate, number)
        self._drop_unnamed(arrival, bytes.fromhex(path.stem))

    def _drop_unnamed(self, arrival: Arrival, envelope: bytes) -> None:
        for digest in arrival.whole - arrival.sizes.keys() - {envelope}:
            arrival.whole.discard(digest)
            (arrival.folder / f"{digest.hex()}{SUFFIXES[0]}").unlink(missing_ok=True)
        for file in [one for one in arrival.parts if not arrival.wants(one)]:
            part = self._open.pop(file.packed(), None)
            if part is not None:
                part.close()
            arrival.parts.pop(file)
            part_path(file, arrival.folder).unlink(missing_ok=True)

    def _publish_complete(self, arrival: Arrival) -> None:
        if arrival.is_complete() and arrival.digest not in self._ending:
            assert arrival.statement is not None
            target = self.folder / self.region / arrival.digest.hex()
            room = 2 * self.limits.bytes_max
            work = partial(publish, arrival.folder, target, arrival.statement, room)
            self._ask(arrival, arrival.digest, work, partial(self._published, arrival))

    def _published(self, arrival: Arrival, is_done: bool) -> None:
        if is_done:
            self._forget(arrival)

    def _refuse(self, arrival: Arrival) -> None:
        if len(self._refused) >= REFUSED_MAX:
            self._refused.clear()
        self._refused.add(arrival.digest)
        self._forget(arrival)

    # Work beside the socket ----------------------------------------------------------------------

    def _ask(
        self,
        arrival: Arrival,
        name: bytes,
        work: Callable[[], bool],
        ending: Callable[[bool], None],
    ) -> None:
        self._ending[name] = ending
        self._queue.setdefault(arrival.digest, deque()).append((name, work))
        self._go_on()

    def _go_on(self) -> None:
        while True:
            if self._working is not None:
                how = self.hands.ended()
                if how is None:
                    return
                name, self._working = self._working, None
                self._ending.pop(name)(how)
            elif self._queue:
                digest, works = self._queue.popitem(last=False)
                self._working, work = works.popleft()
                if works:
                    self._queue[digest] = works
                self.hands.begin(work)
            else:
                return

    # Room ----------------------------------------------------------------------------------------

    def _keep_to_size(self) -> None:
        room = 2 * self.limits.bytes_max - published_bytes(self.folder / self.region)
        while self._bundles and sum(one.bytes for one in self._bundles.values()) > room:
            self._forget(self._first_to_go(""))

    def _first_to_go(self, newcomer: str) -> Arrival:
        """One that nobody knows the files of; else, of who has begun the most bundles, the one of
        which the least is here: a flood washes itself away."""
        begun = Counter(one.source for one in self._bundles.values())
        begun[newcomer] += 1
        return min(
            self._bundles.values(),
            key=lambda one: (one.statement is not None, -begun[one.source], one.bytes),
        )

    def _forget(self, arrival: Arrival) -> None:
        for of, part in list(self._open.items()):
            if part.file.bundle == arrival.digest:
                del self._open[of]
                part.close()
        for name, _ in self._queue.pop(arrival.digest, ()):
            del self._ending[name]
        self._bundles.pop(arrival.digest, None)
        shutil.rmtree(arrival.folder, ignore_errors=True)

    def _now(self) -> float:
        return self.clock.now().timestamp()

    # What people are told, and what is found at the next start -----------------------------------

    def _tell(self, arrival: Arrival) -> None:
        changed = self.clock.now().isoformat(timespec="seconds")
        missing = list(_missing(arrival))
        state = State(
            files=len(arrival.whole),
            of=len(arrival.sizes) + 1 if arrival.statement else 0,
            missing=missing[:MISSING_TOLD],
            changed=changed,
        )
        aside = arrival.folder / f".{STATE}"
        aside.write_bytes(state.encoded())
        aside.replace(arrival.folder / STATE)
        arrival.is_told = True

    def _load(self, folder: Path) -> None:
        digest = bytes.fromhex(folder.name)
        arrival = Arrival(digest=digest, source="", folder=folder, changed_s=folder.stat().st_mtime)
        self._bundles[digest] = arrival
        for path in sorted(folder.iterdir()):
            if path.name.endswith(SUFFIXES):
                arrival.whole.add(bytes.fromhex(path.stem))
                arrival.whole_bytes += path.stat().st_size
            elif path.name.endswith(PART):
                part = Part(_file_of(digest, path.name), folder)
                arrival.parts[part.file] = part.save()
                arrival.lacking[part.file.digest] = (part.lacking, part.file.shape.rows)
                part.close()
        for path in folder.glob(f"*{SUFFIXES[ENVELOPE]}"):
            if arrival.statement is None and digest in self._bundles:
                self._learn(arrival, path)
        if digest in self._bundles:
            self._publish_complete(arrival)


def _without_items(statement: Statement) -> Statement:
    predicate = msgspec.structs.replace(statement.predicate, items=[])
    return msgspec.structs.replace(statement, predicate=predicate)


def _missing(arrival: Arrival) -> Iterator[str]:
    if arrival.statement is None:
        yield "the envelope"
        return
    for subject in arrival.statement.subject:
        digest = bytes.fromhex(subject.digest["sha256"])
        if digest in arrival.lacking:
            lacking, rows = arrival.lacking[digest]
            yield f"{subject.name} ({lacking} of {rows} rows)"
        elif digest not in arrival.whole:
            yield subject.name


def _file_of(bundle: bytes, name: str) -> File:
    digest, _, rest = name.removesuffix(PART).partition(".")
    kind, size, k, m = map(int, rest.split("-"))
    return File(bundle, bytes.fromhex(digest), kind, Shape(size, k, m))


def publish(folder: Path, target: Path, statement: Statement, room: int) -> bool:
    """Give a bundle that is whole its place in the spool, at once; False where that is full."""
    if published_bytes(target.parent) + statement.predicate.size + SPARE_BYTES > room:
        return False
    out = folder / "out"
    out.mkdir(mode=0o755, exist_ok=True)
    named = [(f"{one.digest['sha256']}{SUFFIXES[0]}", one.name) for one in statement.subject]
    envelope = next(folder.glob(f"*{SUFFIXES[ENVELOPE]}"))
    for source, name in [*named, (envelope.name, ENVELOPE_NAME)]:
        if not (out / name).exists():
            os.link(folder / source, out / name)
    durable.sync_folder(out)
    out.rename(target)
    durable.sync_folder(target.parent)
    return True

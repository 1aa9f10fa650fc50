"""The receiving end: datagrams of strangers become bundles in the spool, whole or not at all.

A bundle is named by the digest of its statement, and the statement names its chunks by theirs. So
who sends rubbish makes rubbish under its own name, and no other. Nothing but a few shards is kept
of what no trusted region signed; after that, only the chunks that the statement names. Everything
that a stranger can make grow is bounded; whoever holds the most gives way first.
"""

import logging
import os
import shutil
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec

from bastide.db import durable
from bastide.kernel.clock import Clock
from bastide.transfer.bundles import ENVELOPE as ENVELOPE_NAME
from bastide.transfer.diode import datagram as wire
from bastide.transfer.diode.arrival import Arrival, Limits, missing
from bastide.transfer.diode.datagram import CHUNK, ENVELOPE, File
from bastide.transfer.diode.erasure import Shape
from bastide.transfer.diode.incoming import (
    ARRIVING,
    SPARE_BYTES,
    STATE,
    WHY,
    WHY_MAX,
    State,
    published_bytes,
)
from bastide.transfer.diode.parts import PART, SUFFIXES, Part, finish, part_path, whole_path
from bastide.transfer.model import DIGEST, Refused, Statement, chunk_size
from bastide.transfer.signing import Trust, vouched

TEND_S = 0.5
MISSING_TOLD = 20
logger = logging.getLogger(__name__)


class Hands(Protocol):
    """What takes long is done beside the socket, one work at a time."""

    def begin(self, work: Callable[[], bool]) -> None: ...

    def ended(self) -> bool | None:
        """How the work ended; None while there is none that did."""
        ...


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """What arrives in `folder`, a spool, for `region`, of regions that `trust` names."""

    folder: Path
    region: str
    trust: Trust
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
        arrival = self._bundles[part.file.bundle]
        if slot is None or self.limits.has_enough(arrival, part.file):
            return
        if part.lacking and not part.marks[slot]:
            part.put(slot, datagram[wire.HEAD_BYTES :])
            arrival.early_shards += arrival.is_strange and part.file.kind == CHUNK
        if part.lacking == 0:  # it may be so since before a kill
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
            if self.limits.is_over(arrival, self._now()) or self._place(arrival.digest).exists():
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
        if self.limits.has_enough(arrival, file):
            return None
        if file not in arrival.parts:
            if not self._has_place(arrival):
                return None
            arrival.parts[file] = 0
        if len(self._open) >= self.limits.open_max:
            self._close(self._open.pop(self._first_to_close()))
        part = self._open[of] = Part(file, arrival.folder)
        return part

    def _first_to_close(self) -> bytes:
        """A stranger's, if there is one: their flood closes no other's."""
        return min(self._open, key=lambda of: not self._bundles[wire.bundle_of(of)].is_strange)

    def _begun(self, digest: bytes, source: str) -> Arrival | None:
        if self._place(digest).exists():
            return None
        while len(strangers := self._strangers()) >= self.limits.bundles_max:
            self._forget(_first_to_go(strangers, source))
        made = Arrival(
            digest=digest,
            source=source,
            folder=self.folder / ARRIVING / digest.hex(),
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
        if arrival.is_strange and file.kind == CHUNK:
            return  # no work is done for it before its bundle is known
        self._open.pop(of, None)
        part.close()
        is_wanted = partial(self._is_vouched, arrival) if file.kind == ENVELOPE else _is_named
        work = partial(finish, file, arrival.folder, part.marks, is_wanted)
        self._ask(arrival, of, work, partial(self._finished, arrival, file))

    def _finished(self, arrival: Arrival, file: File, is_it: bool) -> None:
        arrival.lacking.pop(file.digest, None)
        arrival.parts.pop(file, None)
        arrival.is_told = False
        if not self._is_here(arrival):
            return
        if not is_it:  # whatever ended it: what is not counted is not kept
            part_path(file, arrival.folder).unlink(missing_ok=True)
            return
        if file.digest in arrival.whole:  # it came in another shape too
            return
        arrival.whole.add(file.digest)
        arrival.whole_bytes += file.shape.size
        if file.kind == ENVELOPE:
            self._learned(arrival, whole_path(file, arrival.folder))
        self._publish_complete(arrival)

    def _learned(self, arrival: Arrival, path: Path) -> None:
        if not arrival.is_strange:
            if path.stem != arrival.envelope:  # another one of the same statement
                arrival.whole.discard(bytes.fromhex(path.stem))
                path.unlink()
            return
        self._learn(arrival, path)
        if len(signed := self._signed()) > self.limits.bundles_max:
            self._forget(_first_to_go(signed))

    def _is_vouched(self, arrival: Arrival, envelope: bytes) -> bool:
        """In a process beside: what is no trusted region's is thrown away at once."""
        try:
            self._vouched(arrival, envelope)
        except Refused as error:
            (arrival.folder / WHY).write_text(str(error)[:WHY_MAX])
            return False
        return True

    def _vouched(self, arrival: Arrival, envelope: bytes) -> Statement:
        return vouched(
            arrival.digest.hex(), envelope,
            trust=self.trust, region=self.region, size_max=self.limits.bytes_max,
        )  # fmt: skip

    def _learn(self, arrival: Arrival, path: Path) -> None:
        """Read an envelope: which files there are. Raises Refused."""
        statement = self._vouched(arrival, path.read_bytes())
        arrival.statement = _without_items(statement)  # it takes much more memory than its text
        arrival.envelope = path.stem
        for number, subject in enumerate(statement.subject):
            size = chunk_size(statement.predicate, number)
            arrival.sizes[bytes.fromhex(subject.digest["sha256"])] = size
        self._drop_unnamed(arrival, bytes.fromhex(path.stem))
        for file in list(arrival.parts):  # chunks that came before it
            if not self._is_here(arrival):  # that was the last of them
                return
            part = self._open.get(of := file.packed()) or Part(file, arrival.folder)
            if part.lacking == 0:
                self._finish(of, part)
            elif of not in self._open:
                part.close()

    def _drop_unnamed(self, arrival: Arrival, envelope: bytes) -> None:
        for digest in arrival.whole - arrival.sizes.keys() - {envelope}:
            arrival.whole.discard(digest)
            (arrival.folder / f"{digest.hex()}{SUFFIXES[0]}").unlink(missing_ok=True)
        for file in [one for one in arrival.parts if not arrival.wants(one)]:
            self._drop(arrival, file)

    def _has_place(self, arrival: Arrival) -> bool:
        """For one more file, or makes it: who came first with shards of many keeps no other out."""
        if len(arrival.parts) < self.limits.files_max(arrival):
            return True
        held = [one for one in arrival.parts if one.packed() not in self._ending]
        if held:
            self._drop(arrival, min(held, key=lambda one: arrival.parts[one]))
        return bool(held)

    def _drop(self, arrival: Arrival, file: File) -> None:
        part = self._open.pop(file.packed(), None)
        if part is not None:
            part.close()
        arrival.parts.pop(file)
        arrival.lacking.pop(file.digest, None)
        part_path(file, arrival.folder).unlink(missing_ok=True)

    def _publish_complete(self, arrival: Arrival) -> None:
        is_ending = arrival.digest in self._ending or not self._is_here(arrival)
        if arrival.is_complete() and not is_ending:
            assert arrival.statement is not None
            target = self._place(arrival.digest)
            room = 2 * self.limits.bytes_max
            work = partial(publish, arrival.folder, target, arrival.statement, room)
            self._ask(arrival, arrival.digest, work, partial(self._published, arrival))

    def _published(self, arrival: Arrival, is_done: bool) -> None:
        if is_done:
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
        strangers = self._strangers()
        while _held(strangers) > self.limits.strange_bytes_max:
            strangers.remove(most := max(strangers, key=lambda one: one.bytes))
            self._forget(most)
        room = 2 * self.limits.bytes_max - published_bytes(self.folder / self.region)
        signed = self._signed()
        while signed and _held(signed) > room:
            signed.remove(first := _first_to_go(signed))
            self._forget(first)

    def _strangers(self) -> list[Arrival]:
        return [one for one in self._bundles.values() if one.is_strange]

    def _signed(self) -> list[Arrival]:
        return [one for one in self._bundles.values() if not one.is_strange]

    def _is_here(self, arrival: Arrival) -> bool:
        return self._bundles.get(arrival.digest) is arrival

    def _place(self, digest: bytes) -> Path:
        """Where a bundle is when it is whole; empty, when it was taken in."""
        return self.folder / self.region / digest.hex()

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
        why = arrival.folder / WHY
        state = State(
            files=len(arrival.whole),
            of=len(arrival.sizes) + 1 if arrival.statement else 0,
            missing=list(islice(missing(arrival), MISSING_TOLD)),
            changed=changed,
            why=why.read_text() if arrival.is_strange and why.exists() else "",
        )
        aside = arrival.folder / f".{STATE}"
        aside.write_bytes(state.encoded())
        aside.replace(arrival.folder / STATE)
        arrival.is_told = True

    def _load(self, folder: Path) -> None:
        digest = bytes.fromhex(folder.name)
        arrival = Arrival(digest=digest, source="", folder=folder, changed_s=folder.stat().st_mtime)
        self._bundles[digest] = arrival
        try:
            for path in sorted(folder.iterdir()):
                self._load_file(arrival, path)
            for path in folder.glob(f"*{SUFFIXES[ENVELOPE]}"):
                if arrival.is_strange:
                    self._learn(arrival, path)
        except Refused as error:  # by other anchors than it was begun with
            logger.warning("bundle %s: %s", folder.name, error)
            self._forget(arrival)
        if arrival.is_strange and arrival.whole:
            self._forget(arrival)  # its envelope is gone
        elif digest in self._bundles:
            self._publish_complete(arrival)

    def _load_file(self, arrival: Arrival, path: Path) -> None:
        if path.name.endswith(SUFFIXES):
            arrival.whole.add(bytes.fromhex(path.stem))
            arrival.whole_bytes += path.stat().st_size
        elif path.name.endswith(PART):
            part = Part(_file_of(arrival.digest, path.name), arrival.folder)
            arrival.parts[part.file] = part.save()
            arrival.lacking[part.file.digest] = (part.lacking, part.file.shape.rows)
            arrival.early_shards += part.shards if part.file.kind == CHUNK else 0
            part.close()
        elif path.suffix == ".tmp":
            path.unlink()  # a killed one wrote it


def _held(arrivals: list[Arrival]) -> int:
    return sum(one.bytes for one in arrivals)


def _first_to_go(arrivals: list[Arrival], newcomer: str = "") -> Arrival:
    """Of who has begun the most bundles, the one of which the least is here: a flood washes itself
    away."""
    begun = Counter(one.source for one in arrivals)
    begun[newcomer] += 1
    return min(arrivals, key=lambda one: (-begun[one.source], one.bytes))


def _is_named(chunk: bytes) -> bool:
    """A chunk that has its digest is one that the statement names."""
    return True


def _without_items(statement: Statement) -> Statement:
    predicate = msgspec.structs.replace(statement.predicate, items=[])
    return msgspec.structs.replace(statement, predicate=predicate)


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

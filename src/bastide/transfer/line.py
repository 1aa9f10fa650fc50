"""The line of filters that a bundle goes through: each a process, as root with a uid, of its own.

What the line leaves in a bundle's folder: `arrived` (the items, end to end), `3.items` (what was
written anew), and what each filter said. A filter that dies has refused.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bastide.db import durable
from bastide.jobs.cage import NoCage, Room, Walls
from bastide.kernel.file_digest import sha256_of
from bastide.transfer import chain, chunks
from bastide.transfer.bundles import Bundle, Steps
from bastide.transfer.filters.model import (
    LINE,
    REWRITES,
    SchemeSource,
    Seen,
    Task,
    Told,
    table_digest,
)
from bastide.transfer.model import ENVELOPE_BYTES_MAX, Refused

FILTER_TIMEOUT_S = 7200.0
OUT_BYTES_SPARE = 16 << 20
STDERR_MAX = 2000
SAID_BYTES_MAX = 2 * ENVELOPE_BYTES_MAX  # all items, what was understood of each, and more
WHY_MAX, WHY_TEXT_MAX = 100, 200  # what is told of a filter's reasons: it may have been taken over
ARRIVED, REFUSED = "arrived", "refused"
FILTERS = "bastide.transfer.filters"
LISTENER = len(LINE)  # whose uid is the next after the filters': what reads datagrams


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """A site's own, if it has one: its command, which gets an item's path behind it, and what it
    reads on this machine beside /usr."""

    command: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    timeout_s: float = 600.0


NO_SCANNER = Scanner()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the filters hold the items against."""

    scheme: SchemeSource
    ceilings: tuple[str, ...]
    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    scanner: Scanner = NO_SCANNER


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A bundle that the whole line passed: its items as they were written anew."""

    first: Seen  # the items as they arrived
    told: Told
    data: Path
    chain: str  # the digest of the last filter's words, and so of all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A filter that came to its end: the digest of its signed words, and its code's version."""

    name: str
    digest: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The line of one region; its state is in `folder`."""

    folder: Path
    walls: Walls

    def run(self, bundle: Bundle, rules: Rules) -> Steps:
        """Send a bundle through every filter. Raises Refused with what the one that did not pass
        it said. Begun again, it begins anew."""
        try:
            yield from self._run(bundle, rules)
        except Refused as error:
            durable.replace(self.folder / bundle.digest / REFUSED, str(error).encode())
            raise

    def refusal(self, digest: str) -> str | None:
        """Why the line refused a bundle; None if it did not, or has not seen it."""
        path = self.folder / digest / REFUSED
        return path.read_text() if path.exists() else None

    def has_seen(self, digest: str) -> bool:
        """Whether the line came to its end with a bundle, one way or the other."""
        last = self.folder / digest / f"{len(LINE) - 1}-{LINE[-1]}.said"
        return self.refusal(digest) is not None or _is_said(last)

    def _run(self, bundle: Bundle, rules: Rules) -> Steps:
        place = self.folder / bundle.digest
        shutil.rmtree(place, ignore_errors=True)
        durable.folder(place)
        self._gather(bundle, place / ARRIVED)
        items, data, previous = bundle.statement.predicate.items, place / ARRIVED, ""
        for number, name in enumerate(LINE):
            yield {"step": f"filter {name}", "done": number, "total": len(LINE)}
            task = Task(
                bundle=bundle.digest,
                previous=previous,
                items=items,
                scheme=rules.scheme,
                ceilings=list(rules.ceilings),
                words=list(rules.words),
                patterns=list(rules.patterns),
                scanner=list(rules.scanner.command),
                scanner_timeout_s=rules.scanner.timeout_s,
            )
            reads = rules.scanner.reads if name == "scan" else ()
            said = self._filtered(name, number, task, data, reads)
            told = chain.opened(said, self._keys()[name])
            if told.verdict != "passed":
                raise Refused(f"filter {name}: {_why(told)}")
            items, previous = told.items, sha256(said).hexdigest()
            if told.emitted != told.saw:
                data = place / f"{number}.items"
        self.passed(bundle)

    def passed(self, bundle: Bundle) -> Passed:
        """What may be released: read anew, from the bundle to the last byte of what the line
        wrote. Raises Refused."""
        place, refusal = self.folder / bundle.digest, self.refusal(bundle.digest)
        if refusal is not None:
            raise Refused(refusal)
        said, first = self._said(place), _seen_of(bundle)
        told = chain.verified(bundle.digest, first, said, self._keys())
        data = place / f"{LINE.index('re-encode')}.items"
        if not data.exists() or sha256_of(data) != told.emitted.data:
            raise Refused("what the line wrote is not what the filters passed")
        return Passed(first=first, told=told, data=data, chain=sha256(said[-1]).hexdigest())

    def spoken(self, digest: str) -> list[Spoken]:
        """The filters that have spoken of a bundle, in order, as far as the line came."""
        keys, found = self._keys(), []
        for name, said in zip(LINE, self._said(self.folder / digest), strict=False):
            told = chain.opened(said, keys[name])
            found.append(Spoken(name=name, digest=sha256(said).hexdigest(), version=told.version))
        return found

    def forget(self, digest: str) -> None:
        shutil.rmtree(self.folder / digest, ignore_errors=True)

    def _gather(self, bundle: Bundle, path: Path) -> None:
        with path.open("xb") as file, ThreadPoolExecutor(1, "transfer-digest") as executor:
            for _, piece in chunks.verified(bundle.folder, bundle.statement, executor):
                file.write(piece)

    def _said(self, place: Path) -> list[bytes]:
        found = (place / f"{number}-{name}.said" for number, name in enumerate(LINE))
        return [_read_said(path) for path in found if _is_said(path)]

    def _filtered(
        self, name: str, number: int, task: Task, data: Path, reads: Sequence[str]
    ) -> bytes:
        place = data.parent
        (place / f"{number}.task").write_bytes(msgspec.json.encode(task))
        out, says = place / f"{number}.items", place / f"{number}-{name}.said"
        with ExitStack() as stack:
            given = {
                "items": _held(stack, data, os.O_RDONLY),
                "out": _held(stack, out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
                "task": _held(stack, place / f"{number}.task", os.O_RDONLY),
                "says": _held(stack, says, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
                "key": _held(stack, self._seed(name), os.O_RDONLY),
            }
            if self.walls.seccomp is not None:
                given["seccomp"] = _held(stack, self.walls.seccomp, os.O_RDONLY)
            size = data.stat().st_size
            room = Room(out_bytes_max=2 * size + OUT_BYTES_SPARE, data_bytes=size, reads=reads)
            died = self._shut_in(name, number, given, room, place)
        if died or not _is_said(says):
            raise Refused(f"filter {name} died: {died or 'without a word'}")
        said = _read_said(says)
        if name not in REWRITES:
            out.unlink()
        return said

    def _shut_in(
        self, name: str, number: int, given: Mapping[str, int], room: Room, place: Path
    ) -> str:
        """Its last words; "" of one that ended well. What it writes there lies on the disk, in no
        more room than anything else of its: it may have been taken over, and go on and on."""
        passed = [given[one] for one in ("task", "says", "key")]
        seccomp = given.get("seccomp")
        argv = [sys.executable, "-I", "-m", FILTERS, name, *map(str, passed)]
        try:
            command = self.walls.command(number, argv, room, seccomp)
        except NoCage as error:
            raise Refused(str(error)) from error
        with TemporaryFile(dir=place) as trouble:
            try:
                ended = subprocess.run(  # noqa: S603 - our own module
                    command,
                    stdin=given["items"],
                    stdout=given["out"],
                    stderr=trouble,
                    pass_fds=[*passed, *([] if seccomp is None else [seccomp])],
                    timeout=FILTER_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise Refused(f"filter {name} took longer than {FILTER_TIMEOUT_S:.0f} s") from None
            return _last_line(trouble, ended.returncode) if ended.returncode else ""

    def _seed(self, name: str) -> Path:
        """The private key of a filter, made on first use. It is the region's file: the filter is
        handed it open, and could else write another key into it."""
        path = self.folder / "keys" / f"{name}.seed"
        if not path.exists():
            durable.folder(path.parent)
            durable.create(path, Ed25519PrivateKey.generate().private_bytes_raw())
        elif path.stat().st_uid != os.geteuid():  # the filter's, as it once was
            os.chown(path, os.geteuid(), os.getegid())
        return path

    def _keys(self) -> dict[str, Ed25519PublicKey]:
        return {
            name: Ed25519PrivateKey.from_private_bytes(self._seed(name).read_bytes()).public_key()
            for name in LINE
        }


def _is_said(path: Path) -> bool:
    """Whether a filter came to its end: the file is there, and empty, while it runs."""
    return path.exists() and path.stat().st_size > 0


def _held(stack: ExitStack, path: Path, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, descriptor)
    return descriptor


def _read_said(path: Path) -> bytes:
    if path.stat().st_size > SAID_BYTES_MAX:
        raise Refused("a filter said more than there is to say")
    return path.read_bytes()


def _why(told: Told) -> str:
    return "; ".join(one[:WHY_TEXT_MAX] for one in told.why[:WHY_MAX])


def _last_line(trouble: IO[bytes], status: int) -> str:
    size = trouble.seek(0, os.SEEK_END)
    trouble.seek(max(0, size - STDERR_MAX))
    text = trouble.read(STDERR_MAX).decode("utf-8", "replace").strip()
    return text.rpartition("\n")[2] or f"status {status}"


def _seen_of(bundle: Bundle) -> Seen:
    """A bundle's items as they arrived: each chunk is read once more."""
    digest = sha256()
    for _, piece in chunks.pieces(bundle.folder, bundle.statement):
        digest.update(piece)
    return Seen(table=table_digest(bundle.statement.predicate.items), data=digest.hexdigest())

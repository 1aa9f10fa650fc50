"""The folder that datagrams become bundles in, as the region sees it: a spool, whose other side is
a process that reads what strangers send. What that process says of them is shown, and believed in
nothing."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from bastide.jobs import folders
from bastide.transfer.bundles import ENVELOPE
from bastide.transfer.model import DIGEST

ARRIVING, STATE, WHY = ".arriving", "state.json", "why"
WHY_MAX = 100
STATE_BYTES_MAX = 16_384
ROWS_MAX = 1000
SPARE_BYTES = 1 << 16  # what a bundle takes on disk beside its bytes, at most

_Told = Annotated[str, msgspec.Meta(max_length=100)]


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a bundle has arrived. `of` is 0 while its envelope is missing."""

    files: int
    of: int
    missing: Annotated[list[_Told], msgspec.Meta(max_length=100)]
    changed: _Told
    why: _Told = ""  # its last envelope was thrown away

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)


@dataclass(frozen=True, slots=True)
class Incoming:
    """`folder` is the spool that the receiver fills for `region`."""

    folder: Path
    region: str

    def rows(self) -> list[dict[str, Any]]:
        """What is on its way, and what waits to be taken in."""
        return [*self._arriving(), *self._waiting()][:ROWS_MAX]

    def _arriving(self) -> Iterator[dict[str, Any]]:
        for name in _digests(self.folder / ARRIVING):
            state = _state(self.folder / ARRIVING / name / STATE)
            if state is not None and not (self.folder / self.region / name).exists():
                of = f" of {state.of}" if state.of else ""
                missing = ", ".join(state.missing) or "nothing"
                why = f" ({state.why})" if state.why else ""
                told = f"incomplete: {state.files}{of} files; missing: {missing}{why}"
                yield _row(name, told, created=state.changed)

    def _waiting(self) -> Iterator[dict[str, Any]]:
        for name in self.waiting():
            yield _row(name, "arrived: `transfer receive` takes it in")

    def waiting(self) -> list[str]:
        """The bundles that are whole, and were not cleared away."""
        place = self.folder / self.region
        return [name for name in _digests(place) if not is_cleared(place / name)]

    def remember(self, digest: str) -> None:
        """Of what came in by another way: it is not kept when it is sent here too."""
        with ExitStack() as stack, suppress(FileNotFoundError, FileExistsError):
            place = _folder(stack, self.region, _folder(stack, str(self.folder)))
            os.mkdir(digest, 0o700, dir_fd=place)
            _leave_mark(_folder(stack, digest, place))

    def clear(self, digest: str, *, is_taken: bool) -> None:
        """Throw away what was taken in, or refused. Of what was taken in an empty envelope stays,
        so that its next pass is not kept."""
        with ExitStack() as stack:  # no link that the receiver may have laid here is followed
            spool = _folder(stack, str(self.folder))
            place = _folder(stack, self.region, spool)
            bundle = _folder(stack, digest, place)
            folders.empty(bundle)
            if is_taken:
                _leave_mark(bundle)
            else:
                os.rmdir(digest, dir_fd=place)


def _leave_mark(bundle: int) -> None:
    os.close(os.open(ENVELOPE, os.O_CREAT | os.O_EXCL, 0o600, dir_fd=bundle))


def _folder(stack: ExitStack, name: str, above: int | None = None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=above)
    stack.callback(os.close, descriptor)
    return descriptor


def is_cleared(place: Path) -> bool:
    try:
        return (place / ENVELOPE).lstat().st_size == 0
    except OSError:
        return True


def published_bytes(folder: Path) -> int:
    """What the bundles that wait to be taken in hold on disk."""
    total = 0
    for name in _digests(folder):
        if not is_cleared(folder / name):
            total += SPARE_BYTES + sum(one.lstat().st_size for one in (folder / name).iterdir())
    return total


def _digests(folder: Path) -> list[str]:
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(name for name in names if DIGEST.fullmatch(name))


def _state(path: Path) -> State | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return msgspec.json.decode(file.read(STATE_BYTES_MAX) or b"", type=State)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _row(digest: str, state: str, created: str = "") -> dict[str, Any]:
    return {
        "bundle": digest, "from": "", "to": "", "agency": "", "source": "udp", "items": 0,
        "bytes": 0, "labels": [], "base": "", "created": created, "state": state,
    }  # fmt: skip

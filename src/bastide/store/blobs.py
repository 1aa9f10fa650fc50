"""Blob files: named by random ids, never by keys, and durable before any row mentions them.

Written to `tmp/`, fdatasync'd, renamed into one of 256 folders, whose entry is fsync'd. A crash
leaves at worst a file that no row names: `sweep` removes those at start. A file that is being
read is removed only after its last reader has let go.
"""

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from bastide.db import durable

SWEEP_BATCH = 500


class BlobFile:
    """A blob that is being written. Closed without `keep`, it was never there."""

    def __init__(self, aside: Path, path: Path) -> None:
        self._aside = aside
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(aside, flags, 0o600)
        self._kept = False

    def __enter__(self) -> "BlobFile":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        if not self._kept:
            self._aside.unlink(missing_ok=True)

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        """Have the disk take what was written so far, so that `keep` finds little left to do."""
        os.fdatasync(self._descriptor)

    def keep(self) -> None:
        """Make it durable under its own name."""
        os.fdatasync(self._descriptor)
        self._aside.rename(self._path)
        durable.sync_folder(self._path.parent)
        self._kept = True


class Blobs:
    """The folder of blob files of a region."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._aside = root / "tmp"
        self._lock = threading.Lock()
        self._readers: Counter[str] = Counter()
        self._doomed: dict[str, tuple[str, ...]] = {}

    def prepare(self) -> None:
        """Make the folders, and forget what a crash left half written."""
        durable.folder(self._root)
        durable.folder(self._aside)
        for number in range(256):
            (self._root / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
        durable.sync_folder(self._root)
        for left in self._aside.iterdir():
            left.unlink()

    def create(self, blob_id: str) -> BlobFile:
        return BlobFile(self._aside / blob_id, self.path(blob_id))

    def open(self, blob_id: str) -> int:
        """A descriptor to read from; FileNotFoundError when the blob is gone."""
        return os.open(self.path(blob_id), os.O_RDONLY | os.O_CLOEXEC)

    def path(self, blob_id: str) -> Path:
        return self._root / blob_id[:2] / blob_id

    def pin(self, object_id: str) -> None:
        """Keep an object's files while they are read."""
        with self._lock:
            self._readers[object_id] += 1

    def unpin(self, object_id: str) -> None:
        with self._lock:
            self._readers[object_id] -= 1
            if self._readers[object_id] > 0:
                return
            del self._readers[object_id]
            doomed = self._doomed.pop(object_id, ())
        self._unlink(doomed)

    def remove(self, object_id: str, blob_ids: Sequence[str]) -> None:
        """Remove files that no row names any more."""
        if not blob_ids:
            return
        with self._lock:
            if self._readers[object_id] > 0:
                self._doomed[object_id] = (*self._doomed.get(object_id, ()), *blob_ids)
                return
            del self._readers[object_id]
            self._unlink(blob_ids[:1])  # so that who pins it now finds it gone at once
        self._unlink(blob_ids[1:])

    def sweep(self, known: Callable[[Sequence[str]], set[str]]) -> int:
        """Remove the files that `known` does not know. Only before the region takes calls."""
        removed = 0
        for batch in _batches(self._names(), SWEEP_BATCH):
            orphans = sorted(set(batch) - known(batch))
            self._unlink(orphans)
            removed += len(orphans)
        return removed

    def _names(self) -> Iterator[str]:
        for number in range(256):
            with (
                contextlib.suppress(FileNotFoundError),
                os.scandir(self._root / f"{number:02x}") as entries,
            ):
                yield from (entry.name for entry in entries)

    def _unlink(self, blob_ids: Iterable[str]) -> None:
        for blob_id in blob_ids:
            self.path(blob_id).unlink(missing_ok=True)


def _batches(names: Iterator[str], size: int) -> Iterator[list[str]]:
    while batch := list(islice(names, size)):
        yield batch

"""Stretches of a long log, each checked by a process of its own: one for each core.

A process reads its stretch in a snapshot of its own. What it finds whole was signed or will not fit
the tree; what it does not, the verifier reads again in its one snapshot, row by row.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context

from bastide.evidence.rows import Row, is_whole
from bastide.evidence.stored import Log, opened

LONG = 200_000  # of fewer leaves, processes take longer to start than the log to check
STRETCH = 32_768
_LEAST = -(2**63)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The leaves from `first` up to a log of `size`: their hashes, or None where not all is whole.
    `own`: the region's own records among them."""

    first: int
    size: int
    hashes: bytes | None = None
    own: list[Row] = field(default_factory=list)


@contextmanager
def checked(where: str, log: Log) -> Iterator[Iterable[Stretch]]:
    """Stretches that cover a long log, in order; none of one that is not."""
    size, cores = log.size(), os.cpu_count() or 1
    if size < LONG or cores == 1 or size != log.count():  # what has gaps needs no haste
        yield ()
        return
    firsts = [_LEAST, *range(STRETCH, size, STRETCH)]
    sizes = [*firsts[1:], size]
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        try:
            yield pool.map(check, repeat(where), firsts, sizes)
        finally:
            pool.shutdown(cancel_futures=True)


def check(where: str, first: int, size: int) -> Stretch:
    """One stretch; what lies before the first leaf, if anything does, is in it."""
    hashes: list[bytes] = []
    own: list[Row] = []
    at = max(first, 0)
    with opened(where) as log:
        for rows in log.leaves_of(first, size):
            if not is_whole(rows, at):
                return Stretch(first, size)
            at += len(rows)
            hashes += [row[2] for row in rows]
            own += [row for row in rows if not row[3]]
    return Stretch(first, size, b"".join(hashes), own) if at == size else Stretch(first, size)

"""Names of unix sockets, whose length the kernel bounds at 107 bytes: unix(7)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def short_name(path: str | os.PathLike[str]) -> Iterator[str]:
    """A name for `path` that can be bound or connected to within the block, by way of its folder,
    however deep that is. OSError where the folder is not there."""
    folder, name = os.path.split(path)
    held = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{held}/{name}"
    finally:
        os.close(held)

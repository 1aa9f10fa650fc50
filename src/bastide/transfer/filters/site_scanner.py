"""A site's own scanner, e.g. clamscan, in the cage of the filter that calls it.

It gets the path of one item at a time. Its status decides: 0 is clean, 1 that it found something;
whatever else becomes of it is a refusal. It has nothing of the filter's but that item.
"""

import os
import subprocess
from collections.abc import Sequence

from bastide.transfer.filters.model import BadItem

CLEAN, FOUND = 0, 1
ENVIRONMENT = {"PATH": "/usr/bin", "LANG": "C.UTF-8", "HOME": "/", "TMPDIR": "/dev/shm"}  # noqa: S108 - the cage's own


def scan(command: Sequence[str], timeout_s: float, data: memoryview) -> None:
    """Raises BadItem."""
    if not command:
        return
    held = os.memfd_create("item")
    try:
        with open(held, "wb", closefd=False) as file:
            file.write(data)
        ended = subprocess.run(  # noqa: S603 - the site's own words
            [*command, f"/proc/self/fd/{held}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[held],
            env=ENVIRONMENT,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadItem(f"the site's scanner did not answer: {type(error).__name__}") from None
    finally:
        os.close(held)
    if ended.returncode == FOUND:
        raise BadItem("the site's scanner found something in it")
    if ended.returncode != CLEAN:
        raise BadItem(f"the site's scanner failed with status {ended.returncode}")

"""The health check, as the runner's own threads ask it."""

import contextlib
import http.client
from pathlib import Path

from bastide.jobs import reach

TIMEOUT_S = 2.0  # AWS's
SAID_MAX = 4096


def answers(path: Path) -> bool:
    """Whether the replica says 200 to GET /ping."""
    return said(path) is not None


def said(path: Path) -> bytes | None:
    """What it says with it, or the beginning of that; None for everything but 200."""
    try:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = reach.connect(path)
        with contextlib.closing(connection):
            connection.sock.settimeout(TIMEOUT_S)
            connection.request("GET", "/ping")
            answer = connection.getresponse()
            return answer.read(SAID_MAX) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None

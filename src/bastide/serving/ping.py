"""The health check, as the runner's own threads ask it."""

import contextlib
import http.client
from pathlib import Path

from bastide.jobs import reach

TIMEOUT_S = 2.0  # AWS's


def answers(path: Path) -> bool:
    """Whether the replica says 200 to GET /ping."""
    try:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = reach.connect(path)
        with contextlib.closing(connection):
            connection.sock.settimeout(TIMEOUT_S)
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False

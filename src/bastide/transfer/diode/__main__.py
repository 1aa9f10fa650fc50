"""The receiver's process: `python -m bastide.transfer.diode SOCKET FOLDER REGION BYTES_MAX`.

It runs in a cage whose filter of system calls knows no way to send: it has a bound socket, one
folder, the trusted regions' public anchors on its standard input, and nothing else. A child of it
makes whole files, and checks signatures, while it reads on.
"""

import logging
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from bastide.db import durable
from bastide.kernel.clock import SystemClock
from bastide.transfer.diode.arrival import Limits
from bastide.transfer.diode.arrivals import Arrivals
from bastide.transfer.diode.datagram import DATAGRAM_BYTES
from bastide.transfer.diode.erasure import Unrecoverable
from bastide.transfer.diode.incoming import ARRIVING
from bastide.transfer.signing import read_anchors

WAIT_S, WAIT_US = 0, 200_000
TEND_DATAGRAMS = 256
logger = logging.getLogger("bastide.transfer.diode")


def attempted(work: Callable[[], bool]) -> bool:
    try:
        return work()
    except (OSError, Unrecoverable) as error:
        logger.warning("%s: %s", type(error).__name__, error)
        return False


class Forked:
    """Work in a child process, one at a time."""

    def __init__(self) -> None:
        self._child = 0

    def begin(self, work: Callable[[], bool]) -> None:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if attempted(work) else 1
            finally:
                os._exit(code)
        self._child = child

    def ended(self) -> bool | None:
        found, status = os.waitpid(self._child, os.WNOHANG)
        return None if found == 0 else status == 0


def listen(door: socket.socket, arrivals: Arrivals) -> None:
    """Until killed: that is safe at any time."""
    door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", WAIT_S, WAIT_US))
    count = 0
    while True:
        try:
            datagram, (source, *_) = door.recvfrom(DATAGRAM_BYTES + 1)
        except BlockingIOError:
            datagram, source, count = b"", "", 0
        try:
            if datagram:
                arrivals.take(datagram, source)
            if count % TEND_DATAGRAMS == 0:
                arrivals.tend()
        except OSError as error:  # a full disk: the next pass brings it again
            logger.warning("not kept: %s", error)
        count += 1


def main(socket_fd: str, folder: str, region: str, bytes_max: str) -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    arrivals = Arrivals(
        folder=Path(folder),
        region=region,
        trust=read_anchors(sys.stdin.buffer.read()),
        limits=Limits(bytes_max=int(bytes_max)),
        clock=SystemClock(),
        hands=Forked(),
    )
    durable.folder(arrivals.folder / ARRIVING, 0o755)
    with durable.alone_in(arrivals.folder / ARRIVING):  # one that was killed may be there still
        arrivals.load()
        listen(socket.socket(fileno=int(socket_fd)), arrivals)


if __name__ == "__main__":
    main(*sys.argv[1:])

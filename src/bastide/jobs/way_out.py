"""From a TCP port inside a sandbox's network namespace to one unix socket of the region's.

The other way round than `bridge.py`, for code that knows AWS's endpoints as URLs. The shim forks
it. A child enters the namespace, listens there and hands the listening socket back, so that what
copies bytes never is in there: it drops to the agency's uid, and reaches nothing but that socket.
"""

import os
import signal
import socket
import threading
from typing import Any, NoReturn

from bastide.jobs import bridge, namespaces

CONNECTIONS_MAX = 64


def become(init: int, spec: dict[str, Any], uid: int | None) -> NoReturn:
    """Serve until killed. Called in a fresh fork of the shim, so it never returns."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        namespaces.prctl(namespaces.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.chdir(spec["folder"])  # what lies above it, the agency's uid may not pass
        listener = _listener(init, int(spec["port"]))
        bridge.drop(uid)
        _accept(listener, spec["name"])
    finally:
        os._exit(1)


def _listener(init: int, port: int) -> socket.socket:
    """A socket that listens inside. Sockets stay in the namespace that they were made in."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            bridge.enter(init)
            inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            inner.bind(("127.0.0.1", port))
            inner.listen(CONNECTIONS_MAX)
            socket.send_fds(theirs, [b"1"], [inner.fileno()])
        finally:
            os._exit(1)
    theirs.close()
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    os.wait()
    return socket.socket(fileno=fds[0])


def _accept(listener: socket.socket, name: str) -> None:
    room = threading.BoundedSemaphore(CONNECTIONS_MAX)
    while True:
        room.acquire()
        inner, _ = listener.accept()
        threading.Thread(target=_join, args=(inner, name, room), daemon=True).start()


def _join(inner: socket.socket, name: str, room: threading.BoundedSemaphore) -> None:
    try:
        with inner, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as outer:
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            outer.connect(name)
            back = threading.Thread(target=bridge.copy, args=(outer, inner), daemon=True)
            back.start()
            bridge.copy(inner, outer)
            back.join()
    except OSError:
        return  # the region is away: the caller sees its connection closed, and asks again
    finally:
        room.release()

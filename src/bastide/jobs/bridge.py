"""From a unix socket outside a sandbox to a TCP port inside its network namespace.

For servers that only know how to listen on TCP (AWS's contract is port 8080). The shim forks it;
it enters the namespace, drops to the agency's uid and copies bytes. It reads no HTTP.
"""

import contextlib
import fcntl
import os
import signal
import socket
import threading
import time
from typing import Any, NoReturn

from bastide.jobs import namespaces, proctree

NS_GET_USERNS = 0xB701  # ioctl_ns(2): the user namespace that owns this one
CONNECTIONS_MAX = 256
CHUNK = 64 * 1024
ENTER_S = 10.0


def become(init: int, spec: dict[str, Any], uid: int | None) -> NoReturn:
    """Serve until killed. Called in a fresh fork of the shim, so it never returns."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        namespaces.prctl(namespaces.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.chdir(spec["folder"])  # a short name: AF_UNIX paths end at 107 bytes
        with contextlib.suppress(FileNotFoundError):
            os.unlink("http.sock")
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind("http.sock")
        enter(init)
        drop(uid)
        door.listen(128)  # as the agency: whoever connects is told who listens
        _accept(door, int(spec["port"]))
    finally:
        os._exit(1)


def drop(uid: int | None) -> None:
    """Be the agency's user from here on, if there is one to be."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def enter(init: int) -> None:
    """Join the sandbox's network; an ordinary user must own the user namespace above it first."""
    deadline = time.monotonic() + ENTER_S
    while True:
        try:
            network = _network_of(init)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)
    if os.getuid() != 0:
        namespaces.setns(fcntl.ioctl(network, NS_GET_USERNS), namespaces.CLONE_NEWUSER)
    namespaces.setns(network, namespaces.CLONE_NEWNET)


def _network_of(init: int) -> int:
    """bwrap's own init may hide its /proc from its owner; the program below it does not."""
    for pid in (init, *proctree.descendants(init)):
        with contextlib.suppress(OSError):
            return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    raise OSError("no process of the sandbox shows its network")


def _accept(door: socket.socket, port: int) -> None:
    room = threading.BoundedSemaphore(CONNECTIONS_MAX)
    while True:
        room.acquire()
        outer, _ = door.accept()
        threading.Thread(target=_join, args=(outer, port, room), daemon=True).start()


def _join(outer: socket.socket, port: int, room: threading.BoundedSemaphore) -> None:
    try:
        with outer, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as inner:
            # Not create_connection: it imports, and the agency's uid may not read our modules.
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            inner.connect(("127.0.0.1", port))
            back = threading.Thread(target=copy, args=(inner, outer), daemon=True)
            back.start()
            copy(outer, inner)
            back.join()
    except OSError:
        return  # the server does not listen: the caller sees its connection closed
    finally:
        room.release()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Until the source ends; then the target is told so. A plain server writes head and body apart,
    and its kernel holds the second back for 40 ms unless the first is acknowledged at once."""
    is_tcp = source.family == socket.AF_INET
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            if is_tcp:
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)

"""The way from the region to a replica's socket: the only place that connects to one."""

import os
import socket
import stat
import struct
from pathlib import Path

_CREDENTIALS = struct.Struct("3i")  # ucred of unix(7): pid, uid, gid


def connect(path: Path) -> socket.socket:
    """A connection that does not block. Raises OSError; BlockingIOError while the replica's own
    queue of new connections is full.

    The folder is the tenant's own, so what lies there may be a link to anywhere: only a socket
    that lies there itself is connected to, and it cannot be changed in between. Whoever listens
    there is the folder's owner, the agency: were there another way to put somebody else's socket
    here, it would not be spoken to.
    """
    owner = os.stat(path.parent).st_uid
    held = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if not stat.S_ISSOCK(os.fstat(held).st_mode):
            raise ConnectionRefusedError(f"{path.name} is no socket")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.connect(f"/proc/self/fd/{held}")
            told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            if _CREDENTIALS.unpack(told)[1] != owner:
                raise ConnectionRefusedError(f"{path.name} is not its agency's")
        except OSError:
            connection.close()
            raise
    finally:
        os.close(held)
    return connection

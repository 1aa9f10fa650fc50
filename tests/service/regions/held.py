"""What a region's processes hold open, as the kernel tells it: files by device and inode, sockets
and pipes by inode, and whom their sockets are connected to.
"""

import os
import re
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bastide.jobs import proctree

_SOCK_DIAG_BY_FAMILY, _NLM_F_DUMP_REQUEST, _SOCK_DIAG = 20, 0x301, 4
_SHOW_NAME_AND_PEER, _PEER, _ALL_STATES = 1 | 4, 2, 0xFFFFFFFF


@dataclass(frozen=True)
class File:
    """`writable`: opened for writing, or mapped so that a write is seen by others."""

    path: str
    mode: int
    uid: int
    writable: bool


@dataclass
class Held:
    """All of one process tree."""

    pids: list[int]
    files: dict[tuple[int, int], File] = field(default_factory=dict)
    inodes: set[int] = field(default_factory=set)  # of sockets and pipes
    devices: set[str] = field(default_factory=set)
    anonymous: set[str] = field(default_factory=set)

    def note(self, path: str, at: str, *, writable: bool) -> None:
        found = os.stat(at)
        if stat.S_ISCHR(found.st_mode):
            self.devices.add(path)
            return
        key = (found.st_dev, found.st_ino)
        known = self.files.get(key)
        writable = writable or (known is not None and known.writable)
        self.files[key] = File(path, found.st_mode, found.st_uid, writable)


def tree_of(pid: int, folder: Path) -> list[int]:
    """The control plane, all below it, and the shims of its jobs, which stand by themselves."""
    shims = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and str(folder).encode() in (entry / "cmdline").read_bytes():
                shims.append(int(entry.name))
    roots = dict.fromkeys([pid, *shims])
    return list(dict.fromkeys(p for root in roots for p in (root, *proctree.descendants(root))))


def held_by(pid: int, folder: Path) -> Held:
    held = Held(tree_of(pid, folder))
    for each in held.pids:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            _look_at_descriptors(held, each)
            _look_at_mappings(held, each)
    return held


def _look_at_descriptors(held: Held, pid: int) -> None:
    for name in os.listdir(f"/proc/{pid}/fd"):
        at = f"/proc/{pid}/fd/{name}"
        try:
            target = os.readlink(at)
            flags = int(re.search(r"flags:\s*(\d+)", _read(f"/proc/{pid}/fdinfo/{name}"))[1], 8)
        except FileNotFoundError:
            continue  # closed meanwhile
        if inode := re.fullmatch(r"(?:socket|pipe):\[(\d+)\]", target):
            held.inodes.add(int(inode[1]))
        elif target.startswith("anon_inode:"):
            held.anonymous.add(target)
        else:
            held.note(target, at, writable=flags & os.O_ACCMODE != os.O_RDONLY)


def _look_at_mappings(held: Held, pid: int) -> None:
    for line in _read(f"/proc/{pid}/maps").splitlines():
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and parts[5].startswith("/") and parts[4] != "0":
            shared = parts[1][3] == "s" and "w" in parts[1]
            # The mapping itself is root's to follow; its name will do where all is one user's.
            at = f"/proc/{pid}/map_files/{_range(parts[0])}" if os.getuid() == 0 else parts[5]
            with suppress(FileNotFoundError):
                held.note(parts[5], at, writable=shared)


def _range(text: str) -> str:
    """The names in map_files have no leading zeros."""
    return "-".join(f"{int(one, 16):x}" for one in text.split("-"))


def _read(path: str) -> str:
    return Path(path).read_text()


def unix_peers() -> Iterator[tuple[int, int]]:
    """Each connected unix socket of this network namespace with its peer, by inode. Source:
    sock_diag(7), <linux/unix_diag.h>."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as asked:
        show = _SHOW_NAME_AND_PEER
        body = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, _ALL_STATES, 0, show, 0, 0)
        head = struct.pack(
            "=IHHII", 16 + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_DUMP_REQUEST, 1, 0
        )
        asked.send(head + body)
        while True:
            data = asked.recv(1 << 20)
            while data:
                size, kind = struct.unpack_from("=IH", data)
                if kind == 3:  # NLMSG_DONE
                    return
                assert kind == _SOCK_DIAG_BY_FAMILY
                yield from _peer_in(data[16:size])
                data = data[(size + 3) & ~3 :]


def _peer_in(message: bytes) -> Iterator[tuple[int, int]]:
    (own,) = struct.unpack_from("=I", message, 4)
    rest = message[16:]
    while len(rest) >= 4:
        size, kind = struct.unpack_from("=HH", rest)
        if kind == _PEER:
            yield own, struct.unpack_from("=I", rest, 4)[0]
        rest = rest[(size + 3) & ~3 :]


def tcp_of(pid: int) -> dict[int, tuple[str, str]]:
    """Own and remote address of each TCP socket of this process's network, by inode."""
    found = {}
    for name in ("tcp", "tcp6"):
        for line in _read(f"/proc/{pid}/net/{name}").splitlines()[1:]:
            parts = line.split()
            found[int(parts[9])] = (parts[1], parts[2])
    return found

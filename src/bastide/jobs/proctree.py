"""The processes of a sandbox, read from /proc. Used by the shim, so it imports little."""

import os

SIGTERM_BIT = 1 << 14


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which `pid` began: with the pid, a process's true name."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in ("Z", "X") else None


def cpu_ticks(pid: int) -> int:
    """The processor time of `pid`, user and system, in clock ticks; 0 when it is gone."""
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, parents before children."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(int(name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    ahead = list(children.get(pid, ()))
    while ahead:
        one = ahead.pop(0)
        found.append(one)
        ahead += children.get(one, ())
    return found


def catches_term(pid: int) -> bool:
    """Whether the process has a handler for SIGTERM."""
    return bool(_mask(pid, "SigCgt:") & SIGTERM_BIT)


def resident_bytes(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        words = _read(f"/proc/{pid}/statm").split()
        total += int(words[1]) if len(words) > 1 else 0
    return total * os.sysconf("SC_PAGE_SIZE")


def _mask(pid: int, name: str) -> int:
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith(name):
            return int(line.split()[1], 16)
    return 0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""

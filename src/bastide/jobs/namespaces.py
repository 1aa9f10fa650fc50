"""The few system calls that Python 3.11 lacks: mounts, namespaces, subreaper. Used by the shim.

Source: unshare(2), setns(2), mount(2), prctl(2).
"""

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
STAGES = ("/mnt", "/media", "/srv", "/opt")  # empty folders that every uid can pass through

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    _check(_libc.setns(fd, kind), "setns")


def prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0), "prctl")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2); the strings must outlive the call only."""
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None
    )
    _check(result, f"mount {target}")


def stage(place: str, sources: list[str]) -> None:
    """Show `sources` as `place/0`, `place/1`, … in a mount namespace of our own, so that a uid
    that may not pass through their parents (a 0700 home) can still reach them."""
    unshare(CLONE_NEWNS)
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    # Opened before the tmpfs hides what may lie below it, and in the namespace that binds them.
    held = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source in sources]
    mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
    for number, fd in enumerate(held):
        target = f"{place}/{number}"
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        mount(f"/proc/self/fd/{fd}", target, "", MS_BIND | MS_REC)
        os.close(fd)


def stage_place() -> str:
    """The folder that `stage` covers; what it holds is hidden from the sandbox only."""
    return next(place for place in STAGES if os.path.isdir(place))

"""Processes that the tests started and that still run: each names a folder of the tests.

It is looked for in what a process was called with, in its environment, where it stands and what
it holds open, so a process that left its parent and its session is found as well.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import eventually

END_LIMIT_S = 20.0  # what was told to end may need a moment
SHIM = "bastide.jobs.shim"
SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    pid: int
    said: str  # its command line
    test: str  # the one that started it, where its environment still says so

    def __str__(self) -> str:
        return f"process {self.pid} of {self.test or 'a test'}: {self.said[:SHOWN]}"


def _any(_said: str) -> bool:
    return True


def left(folder: Path, is_one: Callable[[str], bool] = _any) -> list[Stray]:
    """Who names `folder`, and whose command line `is_one`; this process is none of them."""
    mark, me = f"{folder}/".encode(), os.getpid()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != me]
    found = [_stray(pid) for pid in pids if _names(pid, mark)]
    return [one for one in found if one.said and is_one(one.said)]


def end(folder: Path, is_one: Callable[[str], bool] = _any) -> list[Stray]:
    """Kill them, and wait until they are gone. Answers whom."""
    found = left(folder, is_one)
    for one in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    eventually(lambda: not left(folder, is_one), END_LIMIT_S)
    return found


def end_shims(folder: Path) -> None:
    """End the jobs of the regions below `folder`: those of a region that stops go on."""
    end(folder, lambda said: SHIM in said)


def fail_if_any(folder: Path, limit_s: float = END_LIMIT_S) -> None:
    """Those that are still there after a while are ended, and fail the run by name."""
    with contextlib.suppress(AssertionError):
        eventually(lambda: not left(folder), limit_s)
    if ended := end(folder):
        raise AssertionError("\n".join(["the tests left behind:", *map(str, ended)]))


def _names(pid: int, mark: bytes) -> bool:
    with contextlib.suppress(OSError):
        told = (_read(pid, "cmdline"), _read(pid, "environ"), os.fsencode(_link(pid, "cwd")) + b"/")
        if any(mark in each for each in told):
            return True
        for name in os.listdir(f"/proc/{pid}/fd"):
            if os.fsencode(_link(pid, f"fd/{name}")).startswith(mark):
                return True
    return False


def _stray(pid: int) -> Stray:
    """Nothing is said by one that has ended meanwhile, and by a zombie."""
    with contextlib.suppress(OSError):
        said = _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")
        settings = dict(each.partition(b"=")[::2] for each in _read(pid, "environ").split(b"\0"))
        return Stray(pid=pid, said=said, test=settings.get(b"PYTEST_CURRENT_TEST", b"").decode())
    return Stray(pid=pid, said="", test="")


def _read(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def _link(pid: int, name: str) -> str:
    with contextlib.suppress(FileNotFoundError):  # closed while we look
        return os.readlink(f"/proc/{pid}/{name}")
    return ""

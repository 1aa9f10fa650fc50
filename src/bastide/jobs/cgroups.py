"""Control groups, versions 1 and 2: memory, processes and processor share of one attempt.

Used by the shim, so it imports little. Source: the kernel's admin-guide/cgroup-v1 and cgroup-v2.
"""

import contextlib
import os
from collections.abc import Mapping

ROOT = "/sys/fs/cgroup"
CONTROLLERS = ("memory", "pids", "cpu")
PERIOD_US = 100_000
CONTROL_LEAF = "control"  # v2: where processes go that stood in the group that we divide


class Hierarchies:
    """Where each controller's groups are made: `{"memory": "/sys/fs/cgroup/memory/bastide"}`.

    On v2 all three name the same folder, and `unified` does too.
    """

    def __init__(self, folders: Mapping[str, str], unified: str = "") -> None:
        self.folders = dict(folders)
        self.unified = unified

    def paths(self, name: str) -> list[str]:
        return sorted({f"{folder}/{name}" for folder in self.folders.values()})


def detect(root: str = ROOT, own: str = "/proc/self/cgroup") -> Hierarchies:
    """The controllers in which this process may make groups, with their folders made."""
    if os.path.exists(f"{root}/cgroup.controllers"):
        return _detect_v2(root, own)
    folders = {}
    for controller, group in _own_groups(own).items():
        for start in dict.fromkeys((f"{root}/{controller}{group}".rstrip("/"),)):
            if controller in CONTROLLERS and _makes(f"{start}/bastide"):
                folders[controller] = f"{start}/bastide"
    return Hierarchies(folders)


def _own_groups(own: str) -> dict[str, str]:
    """`{"memory": "/path", "": "/path of v2"}` from the lines of /proc/self/cgroup."""
    groups = {}
    for line in _read(own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _detect_v2(root: str, own: str) -> Hierarchies:
    """The root group when we may divide it, else the group that was delegated to us."""
    mine = root + _own_groups(own).get("", "/").rstrip("/")
    for start in dict.fromkeys((root, mine)):
        folder = f"{start}/bastide"
        if not os.access(start, os.W_OK):
            continue
        if start != root:
            _clear_group(start)
        _enable(start)
        if _makes(folder):
            _enable(folder)
            given = _read(f"{folder}/cgroup.subtree_control").split()
            if "memory" in given:
                return Hierarchies({name: folder for name in CONTROLLERS if name in given}, folder)
    return Hierarchies({})


def _clear_group(start: str) -> None:
    """v2 divides only a group that holds no process: move those that do to a leaf."""
    if _makes(f"{start}/{CONTROL_LEAF}"):
        for pid in _read(f"{start}/cgroup.procs").split():
            _write(f"{start}/{CONTROL_LEAF}/cgroup.procs", pid)


def _enable(folder: str) -> None:
    for controller in CONTROLLERS:
        _write(f"{folder}/cgroup.subtree_control", f"+{controller}")


class Group:
    """The groups of one attempt. A missing controller is skipped: host.py has said so."""

    def __init__(self, where: Hierarchies, name: str) -> None:
        self._where = where
        self._name = name

    def create(self, limits: Mapping[str, float | None]) -> None:
        """`limits`: memory_bytes, pids_max, cpus; None is no limit."""
        for path in self._where.paths(self._name):
            _makes(path)
        memory, pids, cpus = (limits.get(key) for key in ("memory_bytes", "pids_max", "cpus"))
        if memory:
            self._limit_memory(int(memory))
        if pids:
            self._set("pids", "pids.max", str(int(pids)))
        if cpus:
            self._limit_cpu(cpus)

    def _limit_memory(self, size: int) -> None:
        if self._where.unified:
            self._set("memory", "memory.max", str(size))
            self._set("memory", "memory.swap.max", "0")
        else:
            self._set("memory", "memory.limit_in_bytes", str(size))
            self._set("memory", "memory.memsw.limit_in_bytes", str(size))

    def _limit_cpu(self, cpus: float) -> None:
        quota = str(max(int(cpus * PERIOD_US), 1000))
        if self._where.unified:
            self._set("cpu", "cpu.max", f"{quota} {PERIOD_US}")
        else:
            self._set("cpu", "cpu.cfs_period_us", str(PERIOD_US))
            self._set("cpu", "cpu.cfs_quota_us", quota)

    def _set(self, controller: str, file: str, value: str) -> None:
        folder = self._where.folders.get(controller)
        if folder:
            _write(f"{folder}/{self._name}/{file}", value)

    def enter(self) -> None:
        """Put the calling process in."""
        for path in self._where.paths(self._name):
            with open(f"{path}/cgroup.procs", "w") as procs:
                procs.write(str(os.getpid()))

    def pids(self) -> list[int]:
        found: set[int] = set()
        for path in self._where.paths(self._name):
            found.update(int(pid) for pid in _read(f"{path}/cgroup.procs").split())
        return sorted(found)

    def memory_kills(self) -> int:
        """How many of its processes the kernel killed for memory."""
        folder = self._where.folders.get("memory")
        file = "memory.events" if self._where.unified else "memory.oom_control"
        for line in _read(f"{folder}/{self._name}/{file}").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def kill(self) -> None:
        """SIGKILL for whatever is left in it."""
        if self._where.unified and _write(f"{self._where.unified}/{self._name}/cgroup.kill", "1"):
            return
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)

    def remove(self) -> bool:
        """False while a process still stands in one of the groups."""
        gone = True
        for path in self._where.paths(self._name):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone


def _makes(path: str) -> bool:
    try:
        os.mkdir(path)
    except FileExistsError:
        return os.access(path, os.W_OK)
    except OSError:
        return False
    return True


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, value: str) -> bool:
    try:
        with open(path, "w") as file:
            file.write(value)
    except OSError:
        return False
    return True

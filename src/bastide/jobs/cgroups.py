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
_GIVEN = ("cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control")
CLEAR_TRIES = 10  # a process that forks while it is moved leaves a child behind


class Files:
    """The kernel's files, never made by writing to them. What fails is a file that is not there,
    or a rule of the kernel's: then the answer is False, or nothing."""

    def read(self, path: str) -> str:
        try:
            with open(path) as file:
                return file.read()
        except OSError:
            return ""

    def put(self, path: str, value: str) -> None:
        """OSError where the kernel does not take it."""
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)

    def write(self, path: str, value: str) -> bool:
        try:
            self.put(path, value)
        except OSError:
            return False
        return True

    def make(self, path: str) -> bool:
        try:
            os.mkdir(path)
        except FileExistsError:
            return self.may_divide(path)
        except OSError:
            return False
        return True

    def may_divide(self, path: str) -> bool:
        return os.access(path, os.W_OK)

    def remove(self, path: str) -> None:
        os.rmdir(path)


KERNEL = Files()


class Hierarchies:
    """Where each controller's groups are made: `{"memory": "/sys/fs/cgroup/memory/bastide"}`.

    On v2 all three name the same folder, and `unified` does too.
    """

    def __init__(self, folders: Mapping[str, str], unified: str = "") -> None:
        self.folders = dict(folders)
        self.unified = unified

    def paths(self, name: str) -> list[str]:
        return sorted({f"{folder}/{name}" for folder in self.folders.values()})


def detect(root: str = ROOT, own: str = "/proc/self/cgroup", files: Files = KERNEL) -> Hierarchies:
    """The controllers in which this process may make groups, with their folders made."""
    groups = _own_groups(files.read(own))
    if os.path.exists(f"{root}/cgroup.controllers"):
        return _detect_v2(root, groups.get("", "/"), files)
    folders = {}
    for controller, group in groups.items():
        folder = f"{root}/{controller}{group}".rstrip("/") + "/bastide"
        if controller in CONTROLLERS and files.make(folder):
            folders[controller] = folder
    return Hierarchies(folders)


def _own_groups(lines: str) -> dict[str, str]:
    """`{"memory": "/path", "": "/path of v2"}` from the lines of /proc/self/cgroup."""
    groups = {}
    for line in lines.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _detect_v2(root: str, own: str, files: Files) -> Hierarchies:
    """The root group when we may divide it, else the group that was delegated to us."""
    for start in dict.fromkeys((root, _delegated((root + own).rstrip("/")))):
        folder = f"{start}/bastide"
        if not files.may_divide(start):
            continue
        # Only the machine's own root has no type and may be divided with processes in it: what a
        # container sees as the root is a group like any other.
        if os.path.exists(f"{start}/cgroup.type"):
            _clear_group(start, files)
        _enable(start, files)
        if files.make(folder):
            _enable(folder, files)
            given = files.read(f"{folder}/cgroup.subtree_control").split()
            if "memory" in given:
                return Hierarchies({name: folder for name in CONTROLLERS if name in given}, folder)
    return Hierarchies({})


def _delegated(own: str) -> str:
    """The group that was given to us: who is started by one of ours stands in its leaf."""
    above = own.removesuffix(f"/{CONTROL_LEAF}")
    return above if os.path.isdir(f"{above}/bastide") else own


def _clear_group(start: str, files: Files) -> None:
    """v2 divides only a group that holds no process: move those that do to a leaf."""
    if not files.make(f"{start}/{CONTROL_LEAF}"):
        return
    for _ in range(CLEAR_TRIES):
        pids = files.read(f"{start}/cgroup.procs").split()
        if not pids:
            return
        for pid in pids:
            files.write(f"{start}/{CONTROL_LEAF}/cgroup.procs", pid)


def _enable(folder: str, files: Files) -> None:
    """One by one: of several, none is enabled if one is not there."""
    for controller in CONTROLLERS:
        files.write(f"{folder}/cgroup.subtree_control", f"+{controller}")


def give(uid: int, where: Hierarchies | None = None, files: Files = KERNEL) -> None:
    """Called as root: put this process into groups that are `uid`'s, which it may then divide."""
    where = detect() if where is None else where
    for path in where.paths(f"region-{uid}"):
        # v2 divides no group that holds a process: `detect` looks for these two.
        inner = (f"{path}/bastide", f"{path}/{CONTROL_LEAF}") if where.unified else ()
        for folder in (path, *inner):
            files.make(folder)
            for name in ("", *_GIVEN):
                if os.path.exists(f"{folder}/{name}"):
                    os.chown(f"{folder}/{name}", uid, uid)
        files.put(f"{inner[-1] if inner else path}/cgroup.procs", str(os.getpid()))


class Group:
    """The groups of one attempt. A missing controller is skipped: host.py has said so."""

    def __init__(self, where: Hierarchies, name: str, files: Files = KERNEL) -> None:
        self._files = files
        self._where = where
        self._name = name

    def create(self, limits: Mapping[str, float | None]) -> None:
        """`limits`: memory_bytes, pids_max, cpus; None is no limit. OSError where the kernel takes
        one of the first two no more: somebody took the controller from us since we looked."""
        for path in self._where.paths(self._name):
            self._files.make(path)
        memory, pids, cpus = (limits.get(key) for key in ("memory_bytes", "pids_max", "cpus"))
        if memory:
            self._limit_memory(int(memory))
        if pids:
            self._must("pids", "pids.max", str(int(pids)))
        if cpus:
            self._limit_cpu(cpus)

    def _limit_memory(self, size: int) -> None:
        if self._where.unified:
            self._must("memory", "memory.max", str(size))
            self._set("memory", "memory.swap.max", "0")
        else:
            self._must("memory", "memory.limit_in_bytes", str(size))
            self._set("memory", "memory.memsw.limit_in_bytes", str(size))

    def _limit_cpu(self, cpus: float) -> None:
        quota = str(max(int(cpus * PERIOD_US), 1000))
        if self._where.unified:
            self._set("cpu", "cpu.max", f"{quota} {PERIOD_US}")
        else:
            self._set("cpu", "cpu.cfs_period_us", str(PERIOD_US))
            self._set("cpu", "cpu.cfs_quota_us", quota)

    def _must(self, controller: str, file: str, value: str) -> None:
        folder = self._where.folders.get(controller)
        if folder:
            self._files.put(f"{folder}/{self._name}/{file}", value)

    def _set(self, controller: str, file: str, value: str) -> None:
        """Where it may be refused: no swap is here, or the group above has less."""
        folder = self._where.folders.get(controller)
        if folder:
            self._files.write(f"{folder}/{self._name}/{file}", value)

    def enter(self) -> None:
        """Put the calling process in."""
        for path in self._where.paths(self._name):
            self._files.put(f"{path}/cgroup.procs", str(os.getpid()))

    def pids(self) -> list[int]:
        found: set[int] = set()
        for path in self._where.paths(self._name):
            found.update(int(pid) for pid in self._files.read(f"{path}/cgroup.procs").split())
        return sorted(found)

    def memory_kills(self) -> int:
        """How many of its processes the kernel killed for memory."""
        folder = self._where.folders.get("memory")
        file = "memory.events" if self._where.unified else "memory.oom_control"
        for line in self._files.read(f"{folder}/{self._name}/{file}").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def freeze(self, *, frozen: bool) -> bool:
        """False where the kernel has no such word: version 1 has another controller for it."""
        folder = self._where.unified
        path = f"{folder}/{self._name}/cgroup.freeze"
        return bool(folder) and self._files.write(path, str(int(frozen)))

    def kill(self) -> None:
        """SIGKILL for whatever is left in it."""
        folder = self._where.unified
        if folder and self._files.write(f"{folder}/{self._name}/cgroup.kill", "1"):
            return
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)

    def remove(self) -> bool:
        """False while a process still stands in one of the groups."""
        gone = True
        for path in self._where.paths(self._name):
            try:
                self._files.remove(path)
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone

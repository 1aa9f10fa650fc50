"""One process per replica. It outlives the control plane and holds the attempt's lock.

It starts bwrap as the agency's uid, keeps what is printed, enforces the limits, and leaves
`state.json` behind: {"phase": "started"|"exited", …}. It imports little, so that it starts fast,
and forks only from its single thread (`--die-with-parent` is bound to the spawning thread).
"""

import _socket
import contextlib
import fcntl
import itertools
import json
import math
import os
import resource
import select
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from bastide.jobs import bridge, cgroups, namespaces, outlog, proctree, way_out
from bastide.kernel.unix_names import short_name

READ_MAX = 1024 * 1024
TICK_S = 0.25
MEMORY_TICK_S = 1.0
DRAIN_S = 2.0
DISK_ENTRIES_PER_TICK, DISK_SLICES_MAX = 2000, 500
ENTRY_SIZE_LEAST = 4096  # a disk has so many files and no more: empty ones and links count, too
STATUS_FD, SECCOMP_FD, ARGS_FD = 8, 9, 10  # also in sandbox.py
KILLED = 137
STATUS_MAX = 4096


def main(path: str) -> None:
    """Run the attempt that the JSON file at `path` describes."""
    with open(path) as file:
        spec = json.load(file)
    folder = os.path.dirname(path)
    lock = os.open(f"{folder}/lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another shim has this attempt
    if not os.path.exists(f"{folder}/state.json"):
        Shim(spec, folder).run()


class Shim:
    """One attempt, from the lock to the final state."""

    def __init__(self, spec: dict[str, Any], folder: str) -> None:
        self._spec = spec
        self._limits = spec["limits"]
        self._folder = folder
        self._log = outlog.OutLog(folder, _now_ms())
        self._out = outlog.Stream(self._log, keeps_tail=False)
        self._err = outlog.Stream(self._log, keeps_tail=True)
        where = cgroups.Hierarchies(spec["cgroup_folders"], spec["cgroup_unified"])
        self._group = cgroups.Group(where, spec["cgroup"])
        self._sandbox = 0  # bwrap's pid, until it is reaped
        self._inner = 0  # the pid, seen from here, of the sandbox's init
        self._told = b""
        self._bridges: dict[str, int] = {}  # by their members of the spec: pids
        self._code: int | None = None
        self._cause = ""
        self._stop_wanted = False
        self._signalled = False
        self._kill_at: float | None = None
        self._pokes = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        self._pokes.setblocking(False)
        self._scan: Iterator[float] = iter(())

    def run(self) -> None:
        started = _monotonic()
        namespaces.prctl(namespaces.PR_SET_CHILD_SUBREAPER, 1)
        wake = self._take_signals()
        me = os.getpid()
        self._state({"phase": "started", "pid": me, "start": proctree.start_time(me)})
        if os.path.exists(f"{self._folder}/stop"):
            self._code = 128 + signal.SIGTERM
        else:
            self._watch(self._spawn(wake), started)
        self._finish()

    # Starting ------------------------------------------------------------------------------------
    def _take_signals(self) -> int:
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return reading

    def _on_term(self, *_: object) -> None:
        self._stop_wanted = True

    def _spawn(self, wake: int) -> dict[int, str]:
        """Fork bwrap; answers what each file descriptor to be watched is."""
        out_r, out_w = os.pipe2(os.O_CLOEXEC)
        err_r, err_w = os.pipe2(os.O_CLOEXEC)
        status_r, status_w = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(out_w, 1031, READ_MAX)  # F_SETPIPE_SZ: fewer wake-ups for those who print much
        pid = os.fork()
        if pid == 0:
            self._become_sandbox(out_w, err_w, status_w)
        self._sandbox = pid
        for fd in (out_w, err_w, status_w):
            os.close(fd)
        return {out_r: "out", err_r: "err", status_r: "status", wake: "wake"}

    def _become_sandbox(self, out: int, err: int, status: int) -> NoReturn:
        try:
            self._group.create(self._limits)
            self._group.enter()
            held = [_above(fd) for fd in (out, err, status, *self._sandbox_files())]
            if self._spec["stage"]:
                namespaces.stage(self._spec["stage_place"], self._spec["stage"])
            for fd, target in zip(held, (1, 2, STATUS_FD, SECCOMP_FD, ARGS_FD), strict=False):
                os.dup2(fd, target)
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            self._limit_self()
            bridge.drop(self._spec["uid"])
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.execve(self._spec["bwrap"][0], self._spec["bwrap"], {})  # noqa: S606 - no shell
        except BaseException as error:  # a forked child must never return into the shim's code
            with contextlib.suppress(OSError):
                os.write(err, f"bastide: the sandbox could not start: {error}\n".encode())
        os._exit(125)

    def _sandbox_files(self) -> tuple[int, int]:
        seccomp = self._spec["seccomp"] or "/dev/null"
        arguments = os.memfd_create("bwrap-args")
        os.write(arguments, b"".join(each.encode() + b"\0" for each in self._spec["bwrap_args"]))
        os.lseek(arguments, 0, os.SEEK_SET)
        return os.open(seccomp, os.O_RDONLY), arguments

    def _limit_self(self) -> None:
        """Resource limits; those that a missing cgroup controller would have enforced, too."""
        limits, folders = self._limits, self._spec["cgroup_folders"]
        wanted = {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_NOFILE: limits["open_files_max"],
            resource.RLIMIT_FSIZE: limits["disk_bytes"],
        }
        if "memory" not in folders:
            wanted[resource.RLIMIT_DATA] = limits["memory_bytes"]
        if "pids" not in folders:
            wanted[resource.RLIMIT_NPROC] = limits["pids_max"] + _processes_of(self._spec["uid"])
        for kind, value in wanted.items():
            if value is not None:
                hard = resource.getrlimit(kind)[1]
                value = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.setrlimit(kind, (value, value))

    # Watching ------------------------------------------------------------------------------------
    def _watch(self, names: dict[int, str], started: float) -> None:
        poll = select.poll()
        for fd in names:
            poll.register(fd, select.POLLIN)
        wall_s = self._limits["wall_s"]
        memory_at = started + MEMORY_TICK_S
        drain_until: float | None = None
        while True:
            ready = poll.poll(self._timeout_ms(drain_until))
            self._serve(poll, names, ready)
            now = _monotonic()
            self._reap()
            if self._code is not None:
                drain_until = drain_until or now + DRAIN_S
                printing = any(kind in ("out", "err") for kind in names.values())
                if not printing or now > drain_until:
                    return
                continue
            if wall_s and not self._cause and now - started >= wall_s:
                self._cause, self._stop_wanted = "max_runtime", True
            self._enforce_stop(now)
            self._check_disk()
            if now >= memory_at and "memory" not in self._spec["cgroup_folders"]:
                self._check_memory()
                memory_at = now + MEMORY_TICK_S

    def _timeout_ms(self, drain_until: float | None) -> int:
        if drain_until is not None:
            return 50
        limited = self._limits["disk_bytes"] or self._kill_at or self._stop_wanted
        return int((TICK_S if limited else 1.0) * 1000)

    def _serve(
        self, poll: select.poll, names: dict[int, str], ready: list[tuple[int, int]]
    ) -> None:
        printed = False
        for fd, _ in ready:
            data = os.read(fd, READ_MAX)
            kind = names[fd]
            if not data:
                poll.unregister(fd)
                os.close(fd)
                del names[fd]
            elif kind == "status":
                self._learn(data)
            elif kind in ("out", "err"):
                (self._out if kind == "out" else self._err).feed(data, _now_ms())
                printed = True
        if printed:
            self._poke()

    def _learn(self, data: bytes) -> None:
        """bwrap says {"child-pid": N, …}, in as many writes as it likes, and later the exit code,
        which waiting tells us too."""
        self._told = (self._told + data)[-STATUS_MAX:]
        if not self._inner and b"}" in self._told:
            first = self._told[: self._told.index(b"}") + 1]
            with contextlib.suppress(ValueError):
                self._inner = int(json.loads(first).get("child-pid", 0))
        for name, become in (("bridge", bridge.become), ("way_out", way_out.become)):
            spec = self._spec[name]
            if spec and self._inner and name not in self._bridges:
                self._bridges[name] = os.fork()
                if self._bridges[name] == 0:
                    become(self._inner, spec, self._spec["uid"])

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._sandbox:
                code = os.waitstatus_to_exitcode(status)
                self._code = code if code >= 0 else 128 - code
                self._sandbox = 0

    # Ending --------------------------------------------------------------------------------------
    def _enforce_stop(self, now: float) -> None:
        if self._stop_wanted and self._kill_at is None:
            self._kill_at = now + self._limits["grace_s"]
        if self._kill_at is None:
            return
        if now >= self._kill_at:
            self._kill()
        elif not self._signalled:
            self._signalled = self._send_term()

    def _send_term(self) -> bool:
        """SIGTERM to those that handle it; to all when nobody does. (A toolkit without a handler
        must not die, and take the namespace along, while the user's script saves its state.)"""
        inside = [pid for pid in proctree.descendants(self._sandbox) if pid != self._inner]
        if not self._inner or not inside:
            return False
        for pid in [pid for pid in inside if proctree.catches_term(pid)] or inside:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM)
        return True

    def _kill(self) -> None:
        """Killing the init of the pid namespace kills all that is in it."""
        for pid in (self._inner, self._sandbox):
            if pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        self._group.kill()

    def _break(self, cause: str) -> None:
        self._cause = cause
        self._kill()

    def _check_disk(self) -> None:
        limit = self._limits["disk_bytes"]
        if not limit or self._cause == "disk":
            return
        used = next(self._scan, None)
        if used is None:
            self._scan = _disk_use(self._spec["written"], self._pids())
        elif used > limit:
            self._break("disk")

    def _pids(self) -> list[int]:
        return self._group.pids() or proctree.descendants(self._sandbox)

    def _check_memory(self) -> None:
        limit = self._limits["memory_bytes"]
        if limit and proctree.resident_bytes(proctree.descendants(self._sandbox)) > limit:
            self._break("memory")

    def _finish(self) -> None:
        now_ms = _now_ms()
        self._out.end(now_ms)
        self._err.end(now_ms)
        self._log.close(now_ms)
        for pid in self._bridges.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        code = KILLED if self._code is None else self._code
        if code != 0 and not self._cause:
            self._cause = self._cause_found()
        if self._cause in ("disk", "memory"):
            code = code or KILLED
        self._group.kill()
        self._remove_group()
        final = {"phase": "exited", "code": code, "cause": self._cause, "ended_ms": now_ms}
        self._state(final | {"stderr_tail": self._err.tail()}, durable=True)

    def _cause_found(self) -> str:
        """Why the job failed, where it ended before a tick could see it."""
        if self._group.memory_kills():
            return "memory"
        limit = self._limits["disk_bytes"]
        return "disk" if limit and disk_is_full(self._spec["written"], limit) else ""

    def _remove_group(self) -> None:
        """Zombies of the namespace stay charged until they are reaped, which takes a moment."""
        for _ in range(20):
            self._reap()
            if self._group.remove():
                return
            select.poll().poll(5)

    # Telling -------------------------------------------------------------------------------------
    def _state(self, members: dict[str, Any], *, durable: bool = False) -> None:
        """Replace state.json in one step; the final one survives a power cut."""
        temporary = f"{self._folder}/state.tmp"
        with open(temporary, "w") as file:
            json.dump(members, file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.rename(temporary, f"{self._folder}/state.json")
        if durable:
            fd = os.open(self._folder, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
        self._poke()

    def _poke(self) -> None:
        """Wake the runner, if there is one; it looks by itself now and then anyway."""
        with contextlib.suppress(OSError), short_name(self._spec["poke"]) as name:
            self._pokes.sendto(self._spec["key"].encode(), name)


def _disk_use(places: list[str], pids: Sequence[int] = ()) -> Iterator[float]:
    """Bytes used below `places` so far, a slice at a time, and by what `pids` hold open there."""
    used = 0.0
    sizes = itertools.chain(_unnamed(places, pids), _named(places))
    for seen, size in enumerate(sizes, 1):
        used += size
        if seen % DISK_ENTRIES_PER_TICK == 0:
            yield used
    yield used


def _named(places: list[str]) -> Iterator[float]:
    """Links are not followed. A folder that cannot be looked into, as its name is too long, may
    hold anything: it uses up everything."""
    ahead = list(places)
    while ahead:
        try:
            with os.scandir(ahead.pop()) as entries:
                for entry in entries:
                    yield _size_of(entry)
                    if entry.is_dir(follow_symlinks=False):
                        ahead.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):  # it is gone by now
            continue
        except OSError:
            yield math.inf


def _unnamed(places: list[str], pids: Sequence[int]) -> Iterator[float]:
    """Files that are open and were removed; those of other disks, as a tmpfs, do not count."""
    disks = {os.lstat(place).st_dev for place in places if os.path.exists(place)}
    told = set()
    for pid in pids:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as held:
            for entry in held:
                size = 0
                with contextlib.suppress(OSError):
                    found = entry.stat()
                    file = (found.st_dev, found.st_ino)
                    if found.st_nlink == 0 and found.st_dev in disks and file not in told:
                        told.add(file)
                        size = found.st_blocks * 512
                yield size


def _size_of(entry: "os.DirEntry[str]") -> int:
    try:
        return max(entry.stat(follow_symlinks=False).st_blocks * 512, ENTRY_SIZE_LEAST)
    except FileNotFoundError:
        return 0


def disk_is_full(places: list[str], limit: int) -> bool:
    """Whether nothing more fits below `places`; a million entries are looked at."""
    slices = itertools.islice(_disk_use(places), DISK_SLICES_MAX)
    return any(used >= limit for used in slices if used)


def _above(fd: int) -> int:
    """A copy out of the way of the numbers that bwrap is told."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20)


def _processes_of(uid: int | None) -> int:
    uid = os.getuid() if uid is None else uid
    count = 0
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            count += name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid
    return count


def _now_ms() -> int:
    return time.time_ns() // 1_000_000  # a process of its own: there is no Clock to be given


def _monotonic() -> float:
    return time.monotonic()

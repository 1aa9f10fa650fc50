"""Runs replicas on this machine: one shim process each, told what to do by a JSON file."""

import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bastide.jobs import folders, namespaces, proctree, sandbox
from bastide.jobs.cgroups import Group, Hierarchies
from bastide.jobs.executor import Attempt, Report
from bastide.jobs.model import LOST, Exit, Launch, Limits
from bastide.kernel.clock import Clock, SystemClock
from bastide.kernel.unix_names import short_name

logger = logging.getLogger(__name__)

# The shim forks away before it imports anything, so that starting it waits for nothing. `-I -S`:
# no site-packages, no environment: it needs the standard library and this package alone.
BOOT = (
    "import os,sys\n"
    "if os.fork(): os._exit(0)\n"
    "os.setsid(); os.umask(0o077); sys.path.insert(0, sys.argv[1])\n"
    "from bastide.jobs.shim import main; main(sys.argv[2])"
)
SOURCES = Path(__file__).parents[2]
SHIM_START_S = 20.0
LOST_CODE = 137


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalExecutor:
    """`folder` is the executor's own. `uid_of` names the agency's uid, or None when this process
    may not change its own. `seccomp` is the compiled filter, or None where there is none."""

    folder: Path
    bwrap: str
    cgroups: Hierarchies
    seccomp: Path | None
    uid_of: Callable[[str], int | None]
    clock: Clock = field(default_factory=SystemClock)
    python: str = sys.executable
    _state: dict[str, Any] = field(default_factory=dict)

    # Executor ------------------------------------------------------------------------------------
    def launch(self, attempt: Attempt, launch: Launch, limits: Limits) -> None:
        folder = attempt.folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (folder / "state.json").exists() or _locked(folder):
            return
        spec = self._spec(attempt, launch, limits)
        path = folder / "spec.json"
        _write_json(path, spec)  # whole at once: a shim of before a crash may be reading it
        with (folder / "shim.log").open("ab") as trouble:
            started = subprocess.run(  # noqa: S603 - our own program
                [self.python, "-I", "-S", "-c", BOOT, str(SOURCES), str(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=trouble,
                env={"LANG": "C.UTF-8"},
                timeout=SHIM_START_S,
                check=False,
            )
        if started.returncode != 0:
            raise OSError(f"the shim of {attempt.key} did not start ({started.returncode})")

    def terminate(self, attempt: Attempt) -> None:
        attempt.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (attempt.folder / "stop").touch()  # for a shim that has not looked yet
        state = _read_state(attempt.folder)
        if state.get("phase") == "started":
            _signal(state, signal.SIGTERM)
        elif not state and not (attempt.folder / "spec.json").exists():
            final = {"phase": "exited", "begun": False, "code": 128 + signal.SIGTERM, "cause": ""}
            _write_json(attempt.folder / "state.json", final)

    def report(self, attempt: Attempt) -> Report:
        state = _read_state(attempt.folder)
        if not state:
            return self._not_begun(attempt)
        if state["phase"] == "started" and _vanished(attempt.folder, state):
            state = _read_state(attempt.folder)  # it may have ended between the two looks
            if state["phase"] == "started":
                Group(self.cgroups, _group_name(attempt)).kill()
                return _ended(attempt, {"code": LOST_CODE, "cause": LOST})
        return _ended(attempt, state) if state["phase"] == "exited" else Report(begun=True)

    def wait(self, attempt: Attempt, timeout_s: float) -> Report:
        """Block until it has ended, or the time is over."""
        news = threading.Event()
        deadline = self.clock.monotonic_s() + timeout_s
        while True:
            report = self.report(attempt)
            if report.exit is not None or self.clock.monotonic_s() > deadline:
                return report
            news.wait(0.01)

    def on_news(self, poke: Callable[[str], None]) -> None:
        door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.folder / "poke.sock"
        path.unlink(missing_ok=True)
        with short_name(path) as name:
            door.bind(name)
        listener = threading.Thread(target=_listen, args=(door, poke), daemon=True, name="pokes")
        self._state["door"], self._state["listener"] = door, listener
        listener.start()

    def close(self) -> None:
        door = self._state.pop("door", None)
        if door is not None:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            self._state.pop("listener").join(5)
            door.close()

    def _not_begun(self, attempt: Attempt) -> Report:
        """A shim that was started long ago and left no state never came to it."""
        try:
            told_s = (attempt.folder / "spec.json").stat().st_mtime
        except FileNotFoundError:
            return Report(begun=False)
        late = self.clock.now().timestamp() - told_s > SHIM_START_S
        if not late or _locked(attempt.folder) or _read_state(attempt.folder):
            return Report(begun=False)
        (attempt.folder / "stop").touch()
        return _ended(attempt, {"code": LOST_CODE, "cause": LOST})

    # The shim's orders ---------------------------------------------------------------------------
    def _spec(self, attempt: Attempt, launch: Launch, limits: Limits) -> dict[str, Any]:
        uid = self.uid_of(attempt.account) if os.getuid() == 0 else None
        place = namespaces.stage_place() if os.getuid() == 0 else ""
        etc = attempt.folder / "etc"
        sandbox.write_etc(etc, launch.hostname)
        etc.chmod(0o755)
        if attempt.sockets is not None:
            attempt.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
            (attempt.sockets / "http.sock").unlink(missing_ok=True)
        launch.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        written = [launch.home, *(bind.source for bind in launch.binds if bind.writable)]
        if attempt.sockets is not None:
            written.append(attempt.sockets)
        if uid is not None:
            for each in written:
                give(each, uid)
        made = sandbox.command(
            launch,
            bwrap=self.bwrap,
            etc=etc,
            sockets=attempt.sockets,
            place=place,
            seccomp=self.seccomp is not None,
        )
        bridged = attempt.sockets is not None and launch.port is not None
        return {
            "key": attempt.key,
            "poke": str(self.folder / "poke.sock"),
            "bwrap": made.argv,
            "bwrap_args": made.arguments,
            "stage": made.staged,
            "stage_place": place,
            "uid": uid,
            "written": [str(each) for each in written],
            "limits": asdict(limits),
            "cgroup": _group_name(attempt),
            "cgroup_folders": self.cgroups.folders,
            "cgroup_unified": self.cgroups.unified,
            "seccomp": "" if self.seccomp is None else str(self.seccomp),
            "bridge": {"folder": str(attempt.sockets), "port": launch.port} if bridged else None,
            "way_out": _way_out(launch),
        }


def _listen(door: socket.socket, poke: Callable[[str], None]) -> None:
    while True:
        try:
            key = door.recv(256)
        except OSError:
            return
        if not key:
            return
        poke(key.decode("ascii", "replace"))


def _way_out(launch: Launch) -> dict[str, Any] | None:
    way = launch.way_out
    if way is None:
        return None
    return {"folder": str(way.socket.parent), "name": way.socket.name, "port": way.port}


def _group_name(attempt: Attempt) -> str:
    return attempt.key


def _ended(attempt: Attempt, state: dict[str, Any]) -> Report:
    ended = Exit(
        replica=attempt.replica,
        code=int(state["code"]),
        cause=str(state["cause"]),
        stderr_tail=str(state.get("stderr_tail", "")),
    )
    return Report(begun=bool(state.get("begun", True)), exit=ended)


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((folder / "state.json").read_bytes())
    except FileNotFoundError:
        return {}
    return state


def _write_json(path: Path, members: dict[str, Any]) -> None:
    temporary = path.with_suffix(".new")
    temporary.touch(0o600)
    temporary.write_text(json.dumps(members))
    temporary.rename(path)


def _vanished(folder: Path, state: dict[str, Any]) -> bool:
    """A pid alone may be somebody else's by now; pid and start time together may not."""
    return proctree.start_time(int(state["pid"])) != state["start"] and not _locked(folder)


def _locked(folder: Path) -> bool:
    """Whether a shim holds the attempt."""
    try:
        fd = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _signal(state: dict[str, Any], number: signal.Signals) -> None:
    """Through a pidfd, so that a pid given to another process meanwhile is never signalled."""
    with contextlib.suppress(ProcessLookupError):
        held = os.pidfd_open(int(state["pid"]))
        try:
            if proctree.start_time(int(state["pid"])) == state["start"]:
                signal.pidfd_send_signal(held, number)
        finally:
            os.close(held)


def give(folder: Path, uid: int) -> None:
    """Make `uid` the owner of `folder` and all in it; links are not followed."""
    os.chown(folder, uid, uid, follow_symlinks=False)
    for held, names, files in folders.walk(folder):
        for name in (*names, *files):
            os.chown(name, uid, uid, dir_fd=held, follow_symlinks=False)

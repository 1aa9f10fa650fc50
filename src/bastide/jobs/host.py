"""Which layers of the sandbox this machine really has: each is tried, not guessed.

The region prints them at start-up and refuses untrusted jobs while one is missing that the
site's settings do not allow to be missing.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bastide.jobs import cgroups, seccomp
from bastide.jobs.executor import Attempt, Report
from bastide.jobs.local_executor import LocalExecutor
from bastide.jobs.model import Launch, Limits
from bastide.jobs.outlog import Reader

PROBE_S = 20.0
PROBE = (
    "grep -E '^(Seccomp|NoNewPrivs|CapEff):' /proc/self/status; "
    "echo interfaces $(ls /proc/sys/net/ipv4/conf | tr '\\n' ' '); "
    "cat /proc/self/uid_map"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One wall. `why` says what it does, or why it is missing here."""

    name: str
    present: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What was found, for the executor and for the operator."""

    bwrap: str
    cgroups: cgroups.Hierarchies
    seccomp: Path | None
    layers: Sequence[Layer]

    def missing(self, allowed: Collection[str]) -> list[Layer]:
        """The layers that are neither there nor allowed to be missing."""
        return [each for each in self.layers if not each.present and each.name not in allowed]


def find_bwrap(wheel: Path | None = None) -> str | None:
    """bubblewrap from PATH, else the one that the wheel brought."""
    found = shutil.which("bwrap")
    if found is None and wheel is not None and os.access(wheel, os.X_OK):
        return str(wheel)
    return found


def examine(folder: Path, *, probe_uid: int, wheel: Path | None = None) -> Host:
    """Look at this machine; `folder` keeps the seccomp program and is used for the probe. As root
    the probe runs as `probe_uid`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    bwrap = find_bwrap(wheel)
    groups = cgroups.detect()
    program, why_not = _filter(folder)
    said, trouble = "", "bubblewrap is not installed"
    if bwrap is not None:
        said, trouble = _run_probe(folder, bwrap, groups, program, probe_uid)
    layers = [
        _layer("namespaces", bool(said), "own user, pid, ipc, uts and net namespaces", trouble),
        _network(said, trouble),
        _layer(
            "uid",
            os.getuid() == 0 and bool(said),
            "each agency's jobs run as a uid of its own",
            "needs root: all jobs share this user's uid",
        ),
        _layer("seccomp", "Seccomp:\t2" in said, "system calls are filtered", why_not or trouble),
        *(_controller(groups, name) for name in cgroups.CONTROLLERS),
    ]
    return Host(bwrap=bwrap or "", cgroups=groups, seccomp=program, layers=layers)


def _layer(name: str, present: bool, does: str, why_not: str) -> Layer:
    return Layer(name=name, present=present, why=does if present else why_not)


def _network(said: str, trouble: str) -> Layer:
    seen = [line for line in said.splitlines() if line.startswith("interfaces ")]
    alone = bool(seen) and set(seen[0].split()[1:]) <= {"all", "default", "lo"}
    return _layer("network", alone, "no network but the job's own", trouble or "others are seen")


def _controller(groups: cgroups.Hierarchies, name: str) -> Layer:
    does = {"memory": "memory", "pids": "number of processes", "cpu": "processor time"}[name]
    return _layer(
        f"cgroup-{name}",
        name in groups.folders,
        f"the {does} of a job is limited by the kernel",
        f"no writable cgroup controls the {does}",
    )


def _filter(folder: Path) -> tuple[Path | None, str]:
    path = folder / "seccomp.bpf"
    try:
        seccomp.write_filter(path)
    except (ImportError, OSError, RuntimeError) as error:
        return None, f"libseccomp cannot be used: {error}"
    return path, ""


def _run_probe(
    folder: Path, bwrap: str, groups: cgroups.Hierarchies, program: Path | None, uid: int
) -> tuple[str, str]:
    """What a tiny sandbox says of itself, or why there is none."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        executor = LocalExecutor(
            folder=place, bwrap=bwrap, cgroups=groups, seccomp=program, uid_of=lambda _: uid
        )
        attempt = Attempt(
            key=f"probe-{place.name}", replica=0, folder=place / "attempt", account=""
        )
        launch = Launch(argv=("/bin/sh", "-c", PROBE), env={}, home=place / "home")
        try:
            executor.launch(attempt, launch, Limits(memory_bytes=256 * 1024**2, wall_s=10))
        except (OSError, subprocess.SubprocessError) as error:
            return "", str(error)
        report = executor.wait(attempt, PROBE_S)
        return _outcome(report, attempt.folder)


def _outcome(report: Report, folder: Path) -> tuple[str, str]:
    if report.exit is None:
        return "", "the probe did not end"
    if report.exit.code != 0:
        return "", report.exit.stderr_tail.strip() or f"the probe ended with {report.exit.code}"
    return "\n".join(text for _, text in Reader(str(folder)).read()), ""

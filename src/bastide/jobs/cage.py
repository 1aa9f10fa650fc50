"""A cage for a process of our own code that reads what nobody trusts: the gate's filters, parsers
of documents, models that look at text.

`Walls.command` is how one is started: `python -m bastide.jobs.cage SPEC`, SPEC a JSON object. As
root that shows what bwrap needs to a uid that may not pass through its parents, takes that uid,
and becomes bwrap. Inside is no network, no other process, nothing to write to but descriptors
and what is named in `writes`, and of the machine only Python and this package, read-only.
"""

import json
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import bastide
from bastide.jobs import cgroups, namespaces

CAGE = "bastide.jobs.cage"
CPU_S = 3600
MEMORY_BYTES = 8 << 30  # of address space: weights are mapped, not read
FILES_MAX = 64
PROCESSES_MAX = 256  # of one uid, which is one filter's: a site's scanner may have threads
SHM_BYTES = 1 << 30  # /dev/shm, where a site's scanner may write
USR_LINKS = ("bin", "lib", "lib64", "sbin")
ENVIRONMENT = {
    "PATH": "/usr/bin",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TMPDIR": "/dev/shm",  # noqa: S108 - the cage's own
    "OMP_NUM_THREADS": "1",
}


class NoCage(Exception):
    """This machine cannot shut a process in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The control groups that a process is put into before it is shut in."""

    name: str
    folders: Mapping[str, str]
    unified: str
    memory_bytes: int
    pids_max: int
    cpus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a process may take: the size of a file, what it writes to, and what it reads beside
    Python and this package. `data_bytes` is mapped beside `memory_bytes`. A stranger's code gets
    `bare` Python, without this package, what is `shown` of the machine by another name, a /tmp of
    `tmp_bytes`, and a control group."""

    out_bytes_max: int
    data_bytes: int = 0
    memory_bytes: int = MEMORY_BYTES
    writes: Sequence[str] = ()
    reads: Sequence[str] = ()
    cpu_s: int | None = CPU_S
    bare: bool = False
    shown: Mapping[str, str] = field(default_factory=dict)  # where it is seen → what it is
    tmp_bytes: int = 0
    group: Group | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """What a process is shut in with: `uid_first` is None where the region does not run as root."""

    bwrap: str | None
    seccomp: Path | None
    uid_first: int | None

    def command(
        self,
        number: int,
        argv: Sequence[str],
        room: Room,
        seccomp_fd: int | None,
    ) -> list[str]:
        """How `argv` is started in a cage, as user id `number` of these. Raises NoCage."""
        if self.bwrap is None:
            raise NoCage("this machine has no bubblewrap, and nothing is shut in without it")
        spec = {
            "bwrap": self.bwrap,
            "binds": [*_binds(bare=room.bare), *room.reads],
            "shown": dict(room.shown),
            "tmp_bytes": room.tmp_bytes,
            "group": None if room.group is None else asdict(room.group),
            "writes": list(room.writes),
            "uid": None if self.uid_first is None else self.uid_first + number,
            "out_bytes_max": room.out_bytes_max,
            "memory_bytes": room.memory_bytes + 3 * room.data_bytes,
            "cpu_s": room.cpu_s,
            "seccomp_fd": seccomp_fd,
            "env": ENVIRONMENT,
            "argv": list(argv),
        }
        return [sys.executable, "-I", "-m", CAGE, json.dumps(spec)]


def main(spec: dict[str, Any]) -> None:
    place, uid, group = "", spec["uid"], spec["group"]
    shown = [spec["bwrap"], *spec["binds"], *spec["writes"], *spec["shown"].values()]
    shown = list(dict.fromkeys(shown))
    if group is not None:
        _enter(group)
    if uid is not None:
        place = namespaces.stage_place()
        namespaces.stage(place, shown)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if group is None or "pids" not in group["folders"]:  # an agency's jobs have its uid, too
            resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES_MAX, PROCESSES_MAX))
    _limit(spec["out_bytes_max"], spec["memory_bytes"], spec["cpu_s"])
    seen = {path: f"{place}/{n}" if place else path for n, path in enumerate(shown)}
    os.execv(seen[spec["bwrap"]], _arguments(spec, seen))  # noqa: S606 - no shell is meant


def _enter(spec: dict[str, Any]) -> None:
    group = cgroups.Group(cgroups.Hierarchies(spec["folders"], spec["unified"]), spec["name"])
    group.create(spec)
    group.enter()


def _arguments(spec: dict[str, Any], seen: dict[str, str]) -> list[str]:
    made = ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns"]
    made += ["--uid", "1000", "--gid", "1000", "--die-with-parent", "--new-session"]
    made += ["--cap-drop", "ALL", "--clearenv", "--ro-bind", "/usr", "/usr"]
    for name in USR_LINKS:
        if os.path.exists(f"/usr/{name}"):
            made += ["--symlink", f"usr/{name}", f"/{name}"]
    made += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    made += ["--proc", "/proc", "--dev", "/dev"]
    made += ["--size", str(SHM_BYTES), "--perms", "1777", "--tmpfs", "/dev/shm"]  # noqa: S108 - the cage's own
    if spec["tmp_bytes"]:
        made += ["--size", str(spec["tmp_bytes"]), "--perms", "1777", "--tmpfs", "/tmp"]  # noqa: S108
    for path in spec["binds"]:
        made += ["--ro-bind", seen[path], path]
    for target, path in spec["shown"].items():
        made += ["--ro-bind", seen[path], target]
    for path in spec["writes"]:
        made += ["--bind", seen[path], path]
    for name, value in spec["env"].items():
        made += ["--setenv", name, value]
    if spec["seccomp_fd"] is not None:
        made += ["--seccomp", str(spec["seccomp_fd"])]
    return [*made, "--chdir", "/", "--", *spec["argv"]]


def _limit(out_bytes_max: int, memory_bytes: int, cpu_s: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if cpu_s is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (out_bytes_max, out_bytes_max))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _binds(*, bare: bool) -> list[str]:
    """Python, its packages, and this one: what is seen of the machine."""
    if bare:
        return [sys.base_prefix]
    package = Path(bastide.__file__).parents[1]
    return list(dict.fromkeys([sys.base_prefix, sys.prefix, str(package)]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

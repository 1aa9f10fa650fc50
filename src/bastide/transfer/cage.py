"""Starts one process of the gate: `python -m bastide.transfer.cage SPEC`, SPEC a JSON object.

As root it shows what bwrap needs to a uid that may not pass through its parents, takes that uid,
and becomes bwrap. Inside is no network, no other process, nothing to write to but descriptors
and what is named in `writes`, and of the machine only Python and this package, read-only.
"""

import json
import os
import resource
import sys
from typing import Any

from bastide.jobs import namespaces

MEMORY_BYTES = 8 << 30  # of address space: weights are mapped, not read
FILES_MAX = 64
PROCESSES_MAX = 256  # of one uid, which is one filter's: a site's scanner may have threads
SHM_BYTES = 1 << 30  # /dev/shm, where a site's scanner may write
USR_LINKS = ("bin", "lib", "lib64", "sbin")


def main(spec: dict[str, Any]) -> None:
    place, uid = "", spec["uid"]
    shown = [spec["bwrap"], *spec["binds"], *spec["writes"]]
    if uid is not None:
        place = namespaces.stage_place()
        namespaces.stage(place, shown)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES_MAX, PROCESSES_MAX))
    _limit(spec["out_bytes_max"], spec["data_bytes"], spec["cpu_s"])
    seen = {path: f"{place}/{n}" if place else path for n, path in enumerate(shown)}
    os.execv(seen[spec["bwrap"]], _arguments(spec, seen))  # noqa: S606 - no shell is meant


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
    for path in spec["binds"]:
        made += ["--ro-bind", seen[path], path]
    for path in spec["writes"]:
        made += ["--bind", seen[path], path]
    for name, value in spec["env"].items():
        made += ["--setenv", name, value]
    if spec["seccomp_fd"] is not None:
        made += ["--seccomp", str(spec["seccomp_fd"])]
    return [*made, "--chdir", "/", "--", *spec["argv"]]


def _limit(out_bytes_max: int, data_bytes: int, cpu_s: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES + 3 * data_bytes,) * 2)
    if cpu_s is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (out_bytes_max, out_bytes_max))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

"""The bwrap command of one replica, from its `Launch`. Every trap of the project's notes on
sandboxes is met here or in the shim: /tmp before what is bound below it, the uid dropped before
bwrap, sources staged so that a 0700 folder above them does not hide them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bastide.jobs.model import Bind, Launch

SECCOMP_FD, STATUS_FD, ARGS_FD = 9, 8, 10  # as in shim.py, which imports nothing of this
INSIDE_UID = 1000
TMP_BYTES = 1024**3
SHM_BYTES = 256 * 1024**2
SERVE_TARGET = "/run/bastide"
HOST_ETC = ("/etc/ld.so.cache", "/etc/ssl", "/etc/ca-certificates", "/etc/alternatives")
USR_LINKS = ("bin", "lib", "lib64", "sbin")
USERS = (
    "root:x:0:0:root:/root:/bin/sh\njob:x:1000:1000:job:/tmp:/bin/sh\nnobody:x:65534:65534::/:/\n"
)
GROUP = "root:x:0:\njob:x:1000:\nnogroup:x:65534:\n"
NSSWITCH = "passwd: files\ngroup: files\nhosts: files\n"


@dataclass(slots=True)
class Sources:
    """Host paths on their way into the sandbox. With a `place`, each gets a number there."""

    place: str
    staged: list[str] = field(default_factory=list)

    def show(self, source: str) -> str:
        """Where bwrap finds `source`."""
        if not self.place:
            return source
        if source not in self.staged:
            self.staged.append(source)
        return f"{self.place}/{self.staged.index(source)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`argv` starts bwrap; `arguments` go through a pipe, so that no environment variable and no
    path shows in the host's process list."""

    argv: list[str]
    arguments: list[str]
    staged: list[str]


def command(
    launch: Launch, *, bwrap: str, etc: Path, sockets: Path | None, place: str, seccomp: bool
) -> Command:
    """`etc` holds what `write_etc` wrote; `sockets` is shown at /run/bastide."""
    sources = Sources(place)
    arguments = [
        *_walls(launch.hostname),
        *_system(launch, sources),
        *_etc(etc, sources),
        *("--bind", sources.show(str(launch.home)), launch.home_target),
    ]
    binds = list(launch.binds)
    if sockets is not None:
        binds.append(Bind(source=sockets, target=SERVE_TARGET, writable=True))
    for bind in binds:
        flag = "--bind" if bind.writable else "--ro-bind"
        arguments += [flag, sources.show(str(bind.source)), bind.target]
    arguments += ["--chdir", launch.cwd]
    arguments += _environment(launch.env)
    if seccomp:
        arguments += ["--seccomp", str(SECCOMP_FD)]
    argv = [sources.show(bwrap), "--args", str(ARGS_FD), "--", *launch.argv]
    return Command(argv=argv, arguments=arguments, staged=sources.staged)


def write_etc(folder: Path, hostname: str) -> None:
    """The few files that libc wants: no user, host or resolver of the real machine."""
    folder.mkdir(exist_ok=True)
    hosts = f"127.0.0.1 localhost {hostname}\n::1 localhost\n"
    files = {"passwd": USERS, "group": GROUP, "hosts": hosts, "nsswitch.conf": NSSWITCH}
    for name, text in files.items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o644)


def _walls(hostname: str) -> list[str]:
    uid = str(INSIDE_UID)
    return [
        *("--unshare-all", "--unshare-user", "--disable-userns", "--uid", uid, "--gid", uid),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *("--hostname", hostname, "--json-status-fd", str(STATUS_FD)),
    ]


def _system(launch: Launch, sources: Sources) -> list[str]:
    """The root: an unpacked image, read-only, or the host's /usr. Then what is private."""
    if launch.root is not None:
        root = ["--ro-bind", sources.show(str(launch.root)), "/"]
    else:
        root = ["--ro-bind", "/usr", "/usr"]
        for name in USR_LINKS:
            if Path(f"/usr/{name}").exists():
                root += ["--symlink", f"usr/{name}", f"/{name}"]
        for path in HOST_ETC:
            root += ["--ro-bind-try", path, path]
    return [
        *root,
        *("--proc", "/proc", "--dev", "/dev"),
        *("--size", str(TMP_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 - the sandbox's own
        *("--size", str(SHM_BYTES), "--tmpfs", "/dev/shm"),  # noqa: S108
        *("--size", str(1024**2), "--tmpfs", "/run"),
    ]


def _etc(etc: Path, sources: Sources) -> list[str]:
    shown: list[str] = []
    for path in sorted(etc.iterdir()):
        shown += ["--ro-bind", sources.show(str(path)), f"/etc/{path.name}"]
    return shown


def _environment(env: Mapping[str, str]) -> list[str]:
    defaults = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108
    arguments: list[str] = []
    for name, value in (defaults | dict(env)).items():
        if name and "=" not in name and "\0" not in name + value:
            arguments += ["--setenv", name, value]
    return arguments

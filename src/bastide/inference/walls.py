"""The walls around an engine's process. It sees the interpreter, its weights (read-only) and the
folder of its socket; no network, no other process, no capability. Where the region runs as root
the engine has a uid of its own, which it takes itself once bwrap has made its root folder.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import bastide

PLACE, WEIGHTS = "/run/engine", "/run/model.gguf"
SHARED = ("/etc/ld.so.cache", "/etc/alternatives")
USR_LINKS = ("bin", "lib", "lib64", "sbin")
SPACES = (
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-uts",
    "--unshare-cgroup-try",
)
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "PATH": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """What this machine has for them: no `bwrap`, no walls. `uid` is None unless we are root."""

    bwrap: str = ""
    seccomp: Path | None = None
    uid: int | None = None

    def command(self, engine: list[str], place: Path, model: Path, filter_fd: int) -> list[str]:
        """`engine` within the walls; `filter_fd` is an open `seccomp`, or -1."""
        if not self.bwrap:
            return engine
        return [
            *(self.bwrap, *SPACES, *self._rights()),
            *("--die-with-parent", "--new-session", "--clearenv"),
            *(word for name, value in ENVIRONMENT.items() for word in ("--setenv", name, value)),
            *_interpreter(),
            *("--proc", "/proc", "--dev", "/dev"),
            *("--perms", "0755", "--dir", "/run"),
            *("--ro-bind", str(model), WEIGHTS, "--bind", str(place), PLACE),
            *(("--seccomp", str(filter_fd)) if filter_fd >= 0 else ()),
            *("--", *engine),
        ]

    def seen(self, place: Path, model: Path) -> tuple[str, str]:
        """Where the engine finds its folder and its weights."""
        return (PLACE, WEIGHTS) if self.bwrap else (str(place), str(model))

    def own(self, place: Path, model: Path) -> None:
        """Let the engine's uid write its folder and read its weights; nobody else reaches them."""
        if self.uid is not None:
            os.chown(place, self.uid, self.uid)
            model.chmod(0o444)

    def _rights(self) -> list[str]:
        """All of them are gone before a weight is read: see engine_main."""
        if self.uid is None:
            return ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
        kept = ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
        return ["--cap-drop", "ALL", *kept]


def _interpreter() -> list[str]:
    """This Python, what is installed for it, and our own code."""
    found = ["--ro-bind", "/usr", "/usr"]
    for name in USR_LINKS:
        if Path(f"/usr/{name}").exists():
            found += ["--symlink", f"usr/{name}", f"/{name}"]
    for path in SHARED:
        found += ["--ro-bind-try", path, path]
    for folder in (sys.base_prefix, sys.prefix, str(Path(bastide.__file__).parents[1])):
        if not Path(folder).is_relative_to("/usr"):
            found += ["--ro-bind", folder, folder]
    return found

"""Run as root: takes what a region has, all its capabilities included, and tries another's things.

`intruder.py PID NAMESPACES FOLDER OTHER_PID`: the namespaces of PID that are entered, by their
names in /proc; then each attempt is printed with how it ended.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path


def become(pid: int, spaces: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    held = [os.open(f"/proc/{pid}/ns/{space}", os.O_RDONLY) for space in spaces]
    for fd in held:
        if libc.setns(fd, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def attempts(folder: Path, other: int) -> dict[str, Callable[[], object]]:
    return {
        "list the folder": lambda: os.listdir(folder),
        "read the database": lambda: (folder / "region.db").read_bytes(),
        "read the master key": lambda: next((folder / "keys").iterdir()).read_bytes(),
        "write a file": lambda: (folder / "planted").write_text("x"),
        "own the folder": lambda: os.chown(folder, 0, 0),
        "open the folder to all": lambda: os.chmod(folder, 0o777),
        "see its open files": lambda: os.listdir(f"/proc/{other}/fd"),
        "enter by its root": lambda: os.listdir(f"/proc/{other}/root/"),
        "read its memory": lambda: open(f"/proc/{other}/mem", "rb").close(),
        "read its environment": lambda: Path(f"/proc/{other}/environ").read_bytes(),
        "kill it": lambda: os.kill(other, signal.SIGCONT),
    }


def main() -> None:
    pid, spaces, folder, other = sys.argv[1:]
    place = Path(folder)
    if "mnt" not in spaces:  # the folders above may be closed to all but root: begin below them
        os.chdir(place.parent)
        place = Path(place.name)
    become(int(pid), spaces.split(","))
    found = {"capabilities": Path("/proc/self/status").read_text().split("CapEff:\t")[1][:16]}
    for name, attempt in attempts(place, int(other)).items():
        try:
            attempt()
            found[name] = "done"
        except OSError as error:
            found[name] = type(error).__name__
    print(json.dumps(found))


if __name__ == "__main__":
    main()

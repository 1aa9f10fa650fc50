"""`bastide up|down|status`."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import show
from bastide.cli.control import CommandFailed, Control
from bastide.cli.options import JsonOption, RegionOption, site_and_region
from bastide.settings import Site

START_LIMIT_S = 120.0
STOP_LIMIT_S = 180.0
POLL_S = 0.05
GLASS_COLUMNS = ("id", "officer", "kind", "reason", "standing", "created", "expires")


def up(
    region: RegionOption = None,
    foreground: Annotated[bool, typer.Option(help="Stay, and log to the screen.")] = False,
    json_: JsonOption = False,
) -> None:
    """Start a region; harmless when it runs already."""
    site, name = site_and_region(region)
    if foreground:
        raise typer.Exit(1 if subprocess.call(_command(name)) else 0)
    found = started(site, name)
    if json_:
        show.as_json(found)
    else:
        show.out.print(f"Region {name} is up at {found['endpoint']}", highlight=False)
        if missing := found["missing_layers"]:
            show.out.print(
                f"[bold yellow]The sandbox lacks {', '.join(missing)}: jobs are refused[/] "
                "(see: bastide status)",
                highlight=False,
            )


def down(region: RegionOption = None, json_: JsonOption = False) -> None:
    """Stop a region. Training jobs go on, and are reported after the next start."""
    site, name = site_and_region(region)
    was_running = ended(site, name)
    if json_:
        show.as_json({"region": name, "was_running": was_running})
    else:
        what = "has stopped" if was_running else "is not running"
        show.out.print(f"Region {name} {what}.", highlight=False)


def status(region: RegionOption = None, json_: JsonOption = False) -> None:
    """What a region is, what runs in it, and which walls its sandbox has."""
    site, name = site_and_region(region)
    found = Control(site, name).get("/status")
    if json_:
        show.as_json(found)
        return
    layers, engines, glass = (found.pop(one) for one in ("layers", "engines", "break_glass"))
    show.table([{"": k, " ": v} for k, v in found.items()], ["", " "], "")
    if glass:
        show.out.print("\n[bold red]BREAK GLASS: done by one person, and not countersigned[/]")
        show.table(glass, GLASS_COLUMNS, "")
    show.out.print("\n[bold]Engines[/]")
    show.table(engines, ["model", "state", "pid", "memory_mib", "requests"], "none is loaded")
    show.out.print("\n[bold]Walls of the sandbox[/]")
    show.table(layers, ["name", "present", "why"], "none were probed")


def started(site: Site, name: str) -> dict[str, Any]:
    """The status of a region, which is started when it does not run."""
    found = _status(site, name)
    if found is None:
        with show.err.status(f"starting region {name}"):
            found = _start(site, name, _command(name))
    return found


def ended(site: Site, name: str) -> bool:
    """Stop a region; whether it ran."""
    found = _status(site, name)
    if found is None:
        return False
    with show.err.status(f"stopping region {name}"):
        Control(site, name).post("/stop")
        _wait_gone(found["pid"], name)
    return True


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "bastide.app", "--region", name]


def _status(site: Site, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = Control(site, name, timeout_s=10).get("/status")
    except (CommandFailed, OSError):
        return None
    return found


def _start(site: Site, name: str, command: list[str]) -> dict[str, Any]:
    home = site.region_home(name)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = home / "region.log"
    with open(log, "ab", opener=_private) as sink:
        offset = sink.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if (found := _status(site, name)) is not None:
            return found
        if process.poll() is not None:
            raise CommandFailed(f"Region {name} did not start:\n{_since(log, offset)}")
        time.sleep(POLL_S)
    raise CommandFailed(f"Region {name} is not ready after {START_LIMIT_S:.0f} s; see {log}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _since(log: Path, offset: int) -> str:
    with log.open("rb") as source:
        source.seek(offset)
        return source.read()[-4000:].decode(errors="replace").strip()


def _wait_gone(pid: int, name: str) -> None:
    deadline = time.monotonic() + STOP_LIMIT_S
    while Path(f"/proc/{pid}").exists() and not _is_zombie(pid):
        if time.monotonic() > deadline:
            raise CommandFailed(f"Region {name} (pid {pid}) still runs after {STOP_LIMIT_S:.0f} s.")
        time.sleep(POLL_S)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True

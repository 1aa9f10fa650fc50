"""`bastide up|down|status`."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import show
from bastide.cli.control import CommandFailed, Control
from bastide.cli.options import JsonOption, RegionsOption, site_and_regions
from bastide.settings import Site

START_LIMIT_S = 120.0
STOP_LIMIT_S = 180.0
POLL_S = 0.05
GLASS_COLUMNS = ("id", "officer", "kind", "reason", "standing", "created", "expires")
ONE_LINE = (
    "region",
    "partition",
    "ceiling",
    "endpoint",
    "uid",
    "pid",
    "agencies",
    "missing_layers",
)


Found = dict[str, Any]


def up(
    region: RegionsOption = None,
    foreground: Annotated[bool, typer.Option(help="Stay, and log to the screen.")] = False,
    json_: JsonOption = False,
) -> None:
    """Start the site's regions, or one of them; harmless for those that run already."""
    site, names = site_and_regions(region)
    if foreground:
        if len(names) > 1:
            raise typer.BadParameter("name the region that is to stay here, with --region")
        raise typer.Exit(1 if subprocess.call(_command(names[0])) else 0)
    with _each(names, "starting", lambda name: started(site, name)) as found:
        for one in found:
            show.as_json(one) if json_ else _say_up(one, alone=len(names) == 1)


def _say_up(found: Found, *, alone: bool) -> None:
    show.out.print(f"Region {found['region']} is up at {found['endpoint']}", highlight=False)
    if missing := found["missing_layers"]:
        show.out.print(
            f"[bold yellow]The sandbox lacks {', '.join(missing)}: jobs are refused[/] "
            "(see: bastide status)",
            highlight=False,
        )
    if not alone and not found["own_uid"]:
        show.out.print(
            f"[bold yellow]It runs as user id {found['uid']}, as the others may:[/] "
            "for a user id of its own, set uid and start it as root.",
            highlight=False,
        )


def down(region: RegionsOption = None, json_: JsonOption = False) -> None:
    """Stop the site's regions, or one of them. Training jobs go on, and are reported after the
    next start."""
    site, names = site_and_regions(region)
    with _each(names, "stopping", lambda name: _ended_told(site, name)) as found:
        for one in found:
            what = "has stopped" if one["was_running"] else "is not running"
            if json_:
                show.as_json(one)
            else:
                show.out.print(f"Region {one['region']} {what}.", highlight=False)


def _ended_told(site: Site, name: str) -> Found:
    return {"region": name, "was_running": ended(site, name)}


def status(region: RegionsOption = None, json_: JsonOption = False) -> None:
    """What a region is, what runs in it, and which walls its sandbox has; of several, a line."""
    site, names = site_and_regions(region)
    with _each(names, "asking", lambda name: Control(site, name).get("/status")) as found:
        if json_:
            for one in found:
                show.as_json(one)
        elif len(names) > 1:
            show.table(found, ONE_LINE, "No region runs.")
        elif found:
            _print_status(found[0])


def _print_status(found: Found) -> None:
    layers, engines, glass, logs = (
        found.pop(one) for one in ("layers", "engines", "break_glass", "invocation_logs")
    )
    show.table([{"": k, " ": v} for k, v in found.items()], ["", " "], "")
    if glass:
        show.out.print("\n[bold red]BREAK GLASS: done by one person, and not countersigned[/]")
        show.table(glass, GLASS_COLUMNS, "")
    show.out.print("\n[bold]Engines[/]")
    show.table(
        engines,
        ["model", "reservation", "state", "pid", "memory_mib", "requests", "waiting"],
        "none is loaded",
    )
    if any(logs.values()):
        show.out.print("\n[bold]Logs of invocations[/] that wait, and were lost since the start")
        show.table([logs], ["waiting", "dropped", "undelivered"], "")
    show.out.print("\n[bold]Walls of the sandbox[/]")
    show.table(layers, ["name", "present", "why"], "none were probed")


@contextmanager
def _each(names: list[str], doing: str, act: Callable[[str], Found]) -> Iterator[list[Found]]:
    """Do it with all regions at once, and show what came of it; then those that failed are told,
    each with its reason. One region's failure keeps no other from being told."""
    found: list[Found] = []
    failed: list[CommandFailed] = []
    with show.err.status(f"{doing} {', '.join(names)}"), ThreadPoolExecutor(len(names)) as pool:
        for one in [pool.submit(act, name) for name in names]:
            try:
                found.append(one.result())
            except CommandFailed as error:
                failed.append(error)
    yield found
    if failed:
        raise CommandFailed("\n".join(map(str, failed)))


def started(site: Site, name: str) -> Found:
    """The status of a region, which is started when it does not run."""
    return _status(site, name) or _start(site, name, _command(name))


def ended(site: Site, name: str) -> bool:
    """Stop a region; whether it ran."""
    found = _status(site, name)
    if found is None:
        return False
    Control(site, name).post("/stop")
    _wait_gone(found["pid"], name)
    return True


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "bastide.app", "--region", name]


def _status(site: Site, name: str) -> Found | None:
    try:
        found: Found = Control(site, name, timeout_s=10).get("/status")
    except (CommandFailed, OSError):
        return None
    return found


def _start(site: Site, name: str, command: list[str]) -> Found:
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

"""`bastide rules show|adopt`."""

from typing import Any

import typer

from bastide.cli import show
from bastide.cli.control import Control
from bastide.cli.options import JsonOption, RegionOption, control, site_and_region
from bastide.cli.signing import KeyOption, OfficerOption, asked
from bastide.settings import Rules

app = typer.Typer(
    help="What one person may do alone here: the settings that two officers sign for.",
    no_args_is_help=True,
)


@app.command("show")
def show_(region: RegionOption = None, json_: JsonOption = False) -> None:
    """The rules that a region works with."""
    _shown(control(region).get("/rules"), json_=json_)


@app.command()
def adopt(
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask that the region may begin with what bastide.toml says now under `approvals`, `audit`,
    `transfer`, `engines` and `jobs`, while it runs with what it had. Two security officers must
    sign for it; then the same command adopts it, and the region works with it once it is started
    anew."""
    site, name = site_and_region(region)
    body = {"rules": Rules.of(site.settings.region(name)).said, "officer": officer}
    door = Control(site, name)
    found = asked(door, officer, key, lambda: door.post("/rules-adopt", body))
    _shown(found, json_=json_)
    if not json_:
        show.out.print("Now start the region anew: bastide down, bastide up.", highlight=False)


def _shown(rules: dict[str, Any], *, json_: bool) -> None:
    flat = [
        {"rule": f"{section}.{name}", "value": value}
        for section, values in rules.items()
        for name, value in values.items()
    ]
    show.rows(flat, ("rule", "value"), "", json_=json_)
